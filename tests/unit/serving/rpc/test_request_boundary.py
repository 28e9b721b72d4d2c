"""Every error has a status, what fails for an unknown reason is found by its id, and streams keep their order."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from grpc import aio

from protos.signet.v1.prediction_pb2 import PredictRequest
from serving import errors
from serving.metrics import Metrics
from serving.rpc.in_order import in_order
from serving.rpc.methods import Call, Metadata, Method
from serving.rpc.outcome import STATUS_OF, Outcome
from serving.rpc.request_boundary import RequestBoundary

WINDOW = 4


def family(root: type[errors.ServingError]) -> Iterator[type[errors.ServingError]]:
    """A class and all below it."""
    yield root
    for child in root.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("kind", [one for one in family(errors.ServingError) if one is not errors.ServingError])
def test_every_error_has_a_status_of_its_own_or_its_parents(kind):
    assert any(one in STATUS_OF for one in kind.__mro__)


def test_every_error_is_in_the_drawing_of_the_tree():
    drawing = errors.__doc__ or ""
    assert [one.__name__ for one in family(errors.ServingError) if one.__name__ not in drawing] == []


def test_the_errors_tell_apart_what_a_caller_can_do():
    codes = {kind.__name__: status.name for kind, status in STATUS_OF.items()}
    assert codes == {
        "InvalidInput": "INVALID_ARGUMENT",
        "ModelNotFound": "NOT_FOUND",
        "ModelBroken": "FAILED_PRECONDITION",
        "Unavailable": "UNAVAILABLE",
        "Overloaded": "RESOURCE_EXHAUSTED",
        "DeadlineExceeded": "DEADLINE_EXCEEDED",
        "PermissionDenied": "PERMISSION_DENIED",
        "NotOffered": "UNIMPLEMENTED",
        "InternalError": "INTERNAL",
    }


def test_a_long_text_is_cut():
    outcome = Outcome(grpc.StatusCode.INVALID_ARGUMENT, error=errors.InvalidInput("x" * 5000))
    assert len(outcome.text) == 1024


class WaitedFor:
    """A reply that can be waited for: status, text and trailing metadata."""

    def __init__(self) -> None:
        self.failed: asyncio.Future[tuple[grpc.StatusCode, str, Metadata]] = asyncio.get_running_loop().create_future()

    def answer(self, data: bytes, trailers: Metadata) -> None:
        raise AssertionError(f"{data!r} was answered, with {trailers}")

    def fail(self, code: grpc.StatusCode, text: str, trailers: Metadata) -> None:
        self.failed.set_result((code, text, trailers))


async def breaks(request: PredictRequest, call: Call) -> Any:
    raise RuntimeError(f"the reason, for the log alone: {request.model} {call.deadline}")


async def test_an_unknown_reason_is_logged_by_the_id_that_the_caller_gets_though_no_request_is_logged(caplog):
    reply = WaitedFor()
    boundary = RequestBoundary(Metrics(), access_log="off")
    boundary.submit(Method("Break", PredictRequest, breaks), b"", Call(deadline=9.0), reply)
    code, text, trailers = await reply.failed
    assert (code, text) == (grpc.StatusCode.INTERNAL, "internal error")
    (record,) = caplog.records
    assert "the reason, for the log alone" in caplog.text
    assert trailers == (("x-request-id", record.values["request_id"]),)


def ask_in_haste(port: int, calls: int) -> set[grpc.StatusCode]:
    """The statuses of calls that are given little time."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        late: Any = channel.unary_unary("/test/Late")
        return {late.future(b"", timeout=0.002).code() for _ in range(calls)}


@pytest.mark.parametrize("error", [None, errors.InvalidInput("came too late")])
async def test_nothing_is_sent_on_a_call_whose_time_is_over(error, caplog):
    async def respond(request: PredictRequest, call: Call) -> Any:
        await asyncio.sleep(call.deadline + 0.0001 - time.monotonic())
        if error is not None:
            raise error
        return request

    server = aio.server()
    methods = RequestBoundary(Metrics(), access_log="off").handlers([Method("Late", PredictRequest, respond)])
    server.add_registered_method_handlers("test", methods)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert await asyncio.to_thread(ask_in_haste, port, 200) == {grpc.StatusCode.DEADLINE_EXCEEDED}
    finally:
        await server.stop(None)
    assert caplog.text == ""


async def items(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number])


async def test_results_come_in_the_order_of_the_items_though_later_ones_are_done_first():
    last_is_done = asyncio.Event()

    async def work(item: bytes) -> bytes:
        if item == bytes([WINDOW - 1]):
            last_is_done.set()
        await last_is_done.wait()
        return item * 2

    results = [one async for one in in_order(items(WINDOW), work, WINDOW)]
    assert results == [bytes([number]) * 2 for number in range(WINDOW)]


async def test_no_more_than_a_window_of_items_is_worked_on_at_once():
    under_way, most = 0, 0

    async def work(item: bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return item

    results = [one async for one in in_order(items(50), work, WINDOW)]
    assert len(results) == 50
    assert most <= WINDOW


async def test_what_is_under_way_is_cancelled_with_a_stream_that_is_left():
    cancelled: list[bytes] = []
    all_begun = asyncio.Event()

    async def work(item: bytes) -> bytes:
        if item == bytes([WINDOW - 1]):
            all_begun.set()
        if item == b"\0":
            await all_begun.wait()
            return item
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    stream = in_order(items(WINDOW), work, WINDOW)
    assert await anext(stream) == b"\0"
    await stream.aclose()  # type: ignore[attr-defined] # an async generator behind its plainer type
    await asyncio.sleep(0)
    assert cancelled == [b"\1", b"\2", b"\3"]
