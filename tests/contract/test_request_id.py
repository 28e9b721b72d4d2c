"""One request id goes through the log, the trace and the answer: the caller's if there is one."""

import asyncio
import json
import signal
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from serving.client import AsyncClient, Client
from serving.errors import InvalidInput
from tests import tiny_models as tiny
from tests.contract import open_inference
from tests.contract.requests import letters
from tests.contract.serving_process import serving
from tests.contract.tensorflow_serving_requests import letters as tensorflow_letters
from tests.contract.tensorflow_serving_requests import stubs
from tests.running_server import running_server
from tests.trace_receiver import attributes, trace_receiver

ROW = [[0, 9, 0]]
BAD_ROW = [[0, 9]]


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """What became of some calls, by a name: `answered`, the id in the answer's trailing metadata, and how they went.

    With them `logged`, the lines on requests, and `traced`, the calls' spans as attributes and trace ids.
    """
    root = tmp_path_factory.mktemp("ids")
    tiny.put_bare(root, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    with trace_receiver() as receiver:
        flags = ("--log-format", "json", "--access-log", "all", "--trace-sample-ratio", "1")
        with (
            serving(root, *flags, "--trace-endpoint", f"127.0.0.1:{receiver.port}") as (process, port),
            grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            predict = PredictionStub(channel).Predict
            infer = open_inference.stub(SimpleNamespace(channel=channel)).ModelInfer
            answered = {
                "in message": answered_id(predict, letters(ROW, id="said")),
                "in metadata": answered_id(predict, letters(ROW), ("x-request-id", "brought")),
                "in both": answered_id(predict, letters(ROW, id="inner"), ("x-request-id", "outer")),
                "unclean": answered_id(predict, letters(ROW, id="two\nlines"), ("x-request-id", "x" * 129)),
                "none": answered_id(predict, letters(ROW)),
                "refused": answered_id(predict, letters(BAD_ROW), ("x-request-id", "bad")),
                "refused without": answered_id(predict, letters(BAD_ROW)),
                "open inference": answered_id(infer, open_inference.raw("letters", ROW, id="infer")),
                "tensorflow": answered_id(
                    stubs(SimpleNamespace(channel=channel)).prediction.Predict,
                    tensorflow_letters(ROW),
                    ("x-request-id", "tensorflow"),
                ),
            }
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=30)
        logged = [line for line in map(json.loads, log.splitlines()) if line["event"] == "request"]
        traced = {
            attributes(span.attributes).get("signet.request_id"): span.trace_id.hex()
            for span in receiver.spans
            if span.kind == span.SPAN_KIND_SERVER
        }
    return SimpleNamespace(answered=answered, logged=logged, traced=traced)


def answered_id(call: Any, request: Any, *metadata: tuple[str, str]) -> str:
    """What the trailing metadata of the answer, or of the error, says."""
    future = call.future(request, metadata=metadata)
    future.exception()
    return dict(future.trailing_metadata())["x-request-id"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("in message", "said"),
        ("in metadata", "brought"),
        ("in both", "inner"),
        ("refused", "bad"),
        ("open inference", "infer"),
        ("tensorflow", "tensorflow"),
    ],
)
def test_the_callers_id_comes_back(calls, name, expected):
    assert calls.answered[name] == expected


@pytest.mark.parametrize("name", ["none", "unclean", "refused without"])
def test_a_call_without_an_id_that_can_be_written_down_gets_one(calls, name):
    assert len(calls.answered[name]) == 16


def test_the_log_and_the_traces_have_the_ids_of_the_answers(calls):
    assert [line["request_id"] for line in calls.logged] == list(calls.answered.values())
    assert calls.traced.keys() == set(calls.answered.values())


def test_a_log_line_names_its_trace(calls):
    assert {line["request_id"]: line["trace_id"] for line in calls.logged} == calls.traced


def test_the_errors_of_our_client_have_the_id_and_tell_it_below_their_trace(repository):
    with (
        running_server(repository, access_log="errors") as server,
        Client(f"127.0.0.1:{server.port}") as client,
        pytest.raises(InvalidInput) as refused,
    ):
        client.predict("letters", np.array(BAD_ROW), id="mine")
    assert refused.value.request_id == "mine"
    assert refused.value.__notes__ == ["request id: mine"]


def test_the_errors_of_our_asyncio_client_have_the_id_too(repository):
    async def ask(address: str) -> None:
        async with AsyncClient(address) as client:
            await client.predict("letters", np.array(BAD_ROW), id="mine")

    with running_server(repository, access_log="errors") as server, pytest.raises(InvalidInput) as refused:
        asyncio.run(ask(f"127.0.0.1:{server.port}"))
    assert refused.value.request_id == "mine"


def test_an_error_of_a_call_that_is_neither_logged_nor_traced_has_none(signet):
    with Client(f"127.0.0.1:{signet.server.port}") as client, pytest.raises(InvalidInput) as refused:
        client.predict("letters", np.array(BAD_ROW), id="mine")
    assert refused.value.request_id == ""


def test_an_answer_that_is_neither_logged_nor_traced_has_none(signet):
    _, call = signet.prediction.Predict.with_call(letters(ROW), metadata=(("x-request-id", "brought"),))
    assert "x-request-id" not in dict(call.trailing_metadata())
