"""Bytes in, bytes out: the one place where a request's outcome becomes status, text, metric and log line.

Owns parsing, the map from error classes to gRPC statuses, the request metrics and the access log. Handlers are
registered with raw bytes, since gRPC would answer a malformed message UNKNOWN with a class name. Does not know what a
method does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from serving import errors
from serving.metrics import Metrics
from serving.repository.served_model import ServedModel

MAX_TEXT_BYTES = 1024
"""Of an error's text in UTF-8. gRPC writes a byte outside ASCII as three, and clients refuse headers over 8 KiB."""

STREAM_WINDOW = 64
"""Requests of one stream that are worked on at once."""

STATUS_OF: dict[type[errors.ServingError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelBroken: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.InternalError: grpc.StatusCode.INTERNAL,
}

_log = structlog.get_logger("signet.access")

Request = TypeVar("Request", bound=Message)


@dataclass(slots=True)
class Call:
    """What a servicer knows of the call besides its message; it tells which model answers.

    `deadline`: seconds of time.monotonic().
    """

    deadline: float
    served: ServedModel | None = None


@dataclass(frozen=True, slots=True)
class Method(Generic[Request]):
    """One unary method: how its messages parse and who answers."""

    name: str
    request_type: type[Request]
    answer: Callable[[Request, Call], Awaitable[Message]]


@dataclass(frozen=True, slots=True)
class StreamMethod(Generic[Request]):
    """A method that answers each message of a stream on its own; `failed` is the answer to one that fails."""

    name: str
    request_type: type[Request]
    answer: Callable[[Request, Call], Awaitable[Message]]
    failed: Callable[[Request | None, int, str], Message]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. `error` is None for an answer."""

    code: grpc.StatusCode
    answer: bytes = b""
    error: errors.ServingError | None = None

    @property
    def text(self) -> str:
        """The error's text for the caller."""
        return str(self.error).encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore") if self.error else ""


class RequestBoundary:
    """Wraps the methods of all servicers. `access_log`: "off", "errors" or "all"."""

    def __init__(self, metrics: Metrics, access_log: str) -> None:
        self._metrics = metrics
        self._log_answers = access_log == "all"
        self._log_errors = access_log != "off"

    def handlers(
        self, methods: Sequence[Method[Any] | StreamMethod[Any]]
    ) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        """Raw-bytes handlers by method name, for `add_registered_method_handlers`."""
        return {
            one.name: grpc.unary_unary_rpc_method_handler(self._unary(one))
            if isinstance(one, Method)
            else grpc.stream_stream_rpc_method_handler(self._stream(one))
            for one in methods
        }

    def _unary(self, method: Method[Any]) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def handle(data: bytes, context: Any) -> bytes:  # noqa: ANN401 - either transport's context
            outcome = await self._answer(method, data, Call(_deadline(context)))
            if outcome.error is not None:
                await context.abort(outcome.code, outcome.text, _trailers(outcome))
            return outcome.answer

        return handle

    def _stream(self, method: StreamMethod[Any]) -> Callable[[Any, Any], AsyncIterator[bytes]]:
        async def handle(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:  # noqa: ANN401
            async def answer(data: bytes) -> bytes:
                outcome = await self._answer(method, data, Call(_deadline(context)))
                if outcome.error is None:
                    return outcome.answer
                request = _parsed_or_none(method.request_type, data)
                return method.failed(request, outcome.code.value[0], outcome.text).SerializeToString()

            async for data in in_order(requests, answer, STREAM_WINDOW):
                yield data

        return handle

    async def _answer(self, method: Method[Any] | StreamMethod[Any], data: bytes, call: Call) -> Outcome:
        """Parse, call, and account for what came of it; a cancelled call is accounted for and raised again."""
        started = time.perf_counter()
        self._metrics.requests_in_flight.inc()
        outcome = Outcome(grpc.StatusCode.CANCELLED)
        try:
            request = _parse(method.request_type, data)
            outcome = Outcome(grpc.StatusCode.OK, (await method.answer(request, call)).SerializeToString())
        except errors.ServingError as error:
            outcome = Outcome(_status(error), error=error)
        except Exception:  # noqa: BLE001 - the caller gets a status, the log the trace
            _log.exception("internal error", method=method.name)
            outcome = Outcome(grpc.StatusCode.INTERNAL, error=errors.InternalError("internal error"))
        finally:
            self._metrics.requests_in_flight.dec()
            self._account(method.name, call, outcome, time.perf_counter() - started)
        return outcome

    def _account(self, method: str, call: Call, outcome: Outcome, seconds: float) -> None:
        model, version = (call.served.name, str(call.served.version)) if call.served else ("", "")
        self._metrics.observe_request(model, version, method, outcome.code.name, seconds)
        if outcome.error is not None and not isinstance(outcome.error, errors.InternalError):
            self._metrics.count_refusal(model, version, type(outcome.error).__name__)
        if self._log_answers or (self._log_errors and outcome.error is not None):
            _log.info(
                "request",
                method=method,
                model=model,
                version=version,
                code=outcome.code.name,
                seconds=round(seconds, 6),
                error=outcome.text or None,
            )


async def in_order(
    items: AsyncIterator[bytes], work: Callable[[bytes], Awaitable[bytes]], window: int
) -> AsyncIterator[bytes]:
    """The results of `work` in the order of `items`, up to `window` of them worked on at once."""
    results: asyncio.Queue[asyncio.Future[bytes] | None] = asyncio.Queue()
    room = asyncio.Semaphore(window)

    async def read() -> None:
        try:
            async for item in items:
                await room.acquire()
                results.put_nowait(asyncio.ensure_future(work(item)))
        finally:
            results.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (result := await results.get()) is not None:
            yield await result
            room.release()
        await reader
    finally:
        reader.cancel()
        while not results.empty():
            if (left := results.get_nowait()) is not None:
                left.cancel()


def _parse(request_type: type[Request], data: bytes) -> Request:
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        name = request_type.DESCRIPTOR.full_name
        raise errors.InvalidInput(f"the {len(data)} bytes that came are no {name} message") from error


def _parsed_or_none(request_type: type[Request], data: bytes) -> Request | None:
    try:
        return _parse(request_type, data)
    except errors.InvalidInput:
        return None


def _status(error: errors.ServingError) -> grpc.StatusCode:
    return next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)


def _deadline(context: Any) -> float:  # noqa: ANN401
    remaining = context.time_remaining()
    return float("inf") if remaining is None else time.monotonic() + remaining


def _trailers(outcome: Outcome) -> tuple[tuple[str, str | bytes], ...]:
    """How long to wait before a retry, for an Overloaded: as gRPC's retry pushback and as google.rpc.RetryInfo."""
    error = outcome.error
    if not isinstance(error, errors.Overloaded):
        return ()
    milliseconds = max(1, round(error.retry_after_seconds * 1000))
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(milliseconds)
    status = status_pb2.Status(code=outcome.code.value[0], message=outcome.text)
    status.details.add().Pack(retry)
    return (
        ("grpc-retry-pushback-ms", str(milliseconds)),
        ("grpc-status-details-bin", status.SerializeToString()),
    )
