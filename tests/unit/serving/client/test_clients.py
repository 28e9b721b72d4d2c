"""Both clients against a server that does what a test says: retries, limits, hints, broken streams."""

import asyncio
import inspect
import socket

import grpc
import numpy as np
import pytest

from serving.client import AsyncClient, Client, Failure, Request
from serving.errors import DeadlineExceeded, InternalError, InvalidInput, NotOffered, Overloaded, Unavailable
from tests.scripted_server import answers, fails, scripted_server

UNAVAILABLE = fails(grpc.StatusCode.UNAVAILABLE, "not now")


def ask_with_threads(address, method, *arguments, max_message_bytes=2**20, token="", **options):
    with Client(address, timeout_seconds=30, max_message_bytes=max_message_bytes, token=token) as client:
        result = getattr(client, method)(*arguments, **options)
        return list(result) if inspect.isgenerator(result) else result


def ask_with_asyncio(address, method, *arguments, max_message_bytes=2**20, token="", **options):
    async def ask():
        async with AsyncClient(address, timeout_seconds=30, max_message_bytes=max_message_bytes, token=token) as client:
            result = getattr(client, method)(*arguments, **options)
            return [answer async for answer in result] if inspect.isasyncgen(result) else await result

    return asyncio.run(ask())


@pytest.fixture(params=[ask_with_threads, ask_with_asyncio], ids=["threads", "asyncio"])
def ask(request):
    return request.param


def test_unavailable_is_tried_again(ask):
    with scripted_server(UNAVAILABLE, UNAVAILABLE, answers) as server:
        assert ask(server.address, "predict", "tiny", b"png").model == "tiny"
        assert len(server.requests) == 3


def test_unavailable_to_the_end_is_raised_with_the_servers_text(ask):
    with scripted_server(UNAVAILABLE) as server:
        with pytest.raises(Unavailable, match="not now"):
            ask(server.address, "predict", "tiny", b"png", timeout_seconds=0.4)
        assert len(server.requests) > 1


def test_overload_with_a_hint_is_tried_again(ask):
    with scripted_server(fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "20"), answers) as server:
        assert ask(server.address, "predict", "tiny", b"png").model == "tiny"
        assert len(server.requests) == 2


@pytest.mark.parametrize("hint", [None, "-1", "soon"], ids=["no hint", "do not retry", "nonsense"])
def test_overload_without_a_usable_hint_is_raised_at_once(ask, hint):
    with scripted_server(fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", hint), answers) as server:
        with pytest.raises(Overloaded, match="full"):
            ask(server.address, "predict", "tiny", b"png")
        assert len(server.requests) == 1


def test_a_wrong_request_is_sent_once(ask):
    with scripted_server(fails(grpc.StatusCode.INVALID_ARGUMENT, "bad row"), answers) as server:
        with pytest.raises(InvalidInput, match="bad row"):
            ask(server.address, "predict", "tiny", b"png")
        assert len(server.requests) == 1


def test_a_request_over_the_servers_limit_names_the_servers_setting(ask):
    with scripted_server(max_message_bytes=1000) as server:
        with pytest.raises(Overloaded, match="server's --max-message-bytes"):
            ask(server.address, "predict", "tiny", b"x" * 2000)
        assert server.requests == []


def test_a_request_over_the_clients_limit_names_the_clients_setting(ask):
    with scripted_server() as server:
        with pytest.raises(Overloaded, match="client's max_message_bytes"):
            ask(server.address, "predict", "tiny", b"x" * 2000, max_message_bytes=1000)
        assert server.requests == []


def test_a_call_ends_at_its_deadline(ask):
    with scripted_server(lambda context: context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")) as server:
        with pytest.raises(DeadlineExceeded, match="too late"):
            ask(server.address, "predict", "tiny", b"png")
        assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_unavailable(ask):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        with pytest.raises(Unavailable):
            ask(f"127.0.0.1:{taken.getsockname()[1]}", "wait_ready", timeout_seconds=0.3)


def test_a_models_input_is_asked_for_once():
    with scripted_server() as server, Client(server.address) as client:
        for _ in range(3):
            client.predict("tiny", np.array([[1, 2]]))
        assert server.times_described == 1
        assert [one.tensors[0].datatype for one in server.requests] == ["FP32"] * 3


def test_a_models_input_is_asked_for_again_after_a_refusal():
    with scripted_server(fails(grpc.StatusCode.INVALID_ARGUMENT, "other input"), answers) as server:
        with Client(server.address) as client:
            with pytest.raises(InvalidInput):
                client.predict("tiny", np.array([[1, 2]]))
            client.predict("tiny", np.array([[1, 2]]))
        assert server.times_described == 2


def test_a_method_that_the_server_does_not_have_is_not_offered(ask):
    with scripted_server() as server, pytest.raises(NotOffered):
        ask(server.address, "health")


def test_a_token_goes_with_every_call(ask):
    with scripted_server(answers) as server:
        ask(server.address, "predict", "tiny", b"png", token="secret")  # noqa: S106
        ask(server.address, "predict_stream", [Request("tiny", b"png")], token="secret")  # noqa: S106
    assert server.authorizations == ["Bearer secret", "Bearer secret"]


def test_a_stream_that_the_server_ends_early_owes_answers(ask):
    with scripted_server() as server, pytest.raises(InternalError, match="before it had answered every request"):
        ask(server.address, "predict_stream", [Request("tiny", b"1"), Request("tiny", b"2")])


def test_what_the_callers_iterator_raises_reaches_the_caller(ask):
    def requests():
        yield Request("tiny", b"png")
        raise OSError("the disk is gone")

    with scripted_server() as server, pytest.raises(OSError, match="the disk is gone"):
        ask(server.address, "predict_stream", requests())


def test_a_request_that_cannot_be_sent_fails_in_its_place(ask):
    with scripted_server() as server:
        bad = Request("tiny", [], id="bad")
        first, second, third = ask(server.address, "predict_stream", [bad, Request("tiny", b"png"), bad])
    assert isinstance(first, Failure)
    assert first.id == "bad"
    assert isinstance(first.error, InvalidInput)
    assert second.model == "tiny"
    assert isinstance(third, Failure)
