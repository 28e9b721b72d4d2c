"""Bytes in, bytes out: the one place where a request's outcome becomes status, text, metric and log line.

Owns parsing, the request metrics, the access log, and the begin and end of a call's trace. Handlers are registered
with raw bytes, since gRPC would answer a malformed message UNKNOWN with a class name. Does not know what a method does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving import errors
from serving.logs import Log
from serving.metrics import Metrics
from serving.rpc import request_id
from serving.rpc.call_trace import CallEnd, Tracer
from serving.rpc.in_order import in_order
from serving.rpc.methods import Call, Metadata, Reply, Request, RunMethod, StreamMethod, UnaryMethod
from serving.rpc.outcome import Outcome, status_of
from serving.rpc.submitted import Submitted, TracedSubmitted

STREAM_WINDOW = 64
"""Requests of one stream that are worked on at once."""

CALL_ENDS_SECONDS = 1.0
"""A call whose time is over is ended by gRPC or its client well before so much more has passed."""

_log = Log("signet.access")


class RequestBoundary:
    """Wraps the methods of a service. `access_log`: "off", "errors" or "all"; `split_key`: see Call.

    `max_seconds`: what a request may take, whatever its caller allows. `tracer` learns of its calls by the name
    `service`; without one none is traced.
    """

    def __init__(
        self,
        metrics: Metrics,
        access_log: str,
        split_key: str = "",
        max_seconds: float = float("inf"),
        tracer: Tracer | None = None,
        service: str = "",
    ) -> None:
        self._service = service
        self._tracer = tracer
        self._metrics = metrics
        self._max_seconds = max_seconds
        self.split_key = split_key
        self._log_answers = access_log == "all"
        self._log_errors = access_log != "off"

    def handlers(
        self, methods: Sequence[UnaryMethod | StreamMethod[Any]]
    ) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        """Raw-bytes handlers by method name, for `add_registered_method_handlers`."""
        return {
            one.name: grpc.stream_stream_rpc_method_handler(self._stream(one))
            if isinstance(one, StreamMethod)
            else grpc.unary_unary_rpc_method_handler(self._unary(one))
            for one in methods
        }

    def _unary(self, method: UnaryMethod) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def handle(data: bytes, context: Any) -> bytes:  # noqa: ANN401 - either transport's context
            outcome, trailers = await self._answer(method, data, self._call(context))
            # Of a call that fails, grpc.aio keeps this frame in a circle: its rows would wait for the collector.
            del data
            if context.time_remaining() == 0:
                # gRPC or the client ends such a call, and so this. What is sent on it then fails, and is never freed.
                await asyncio.sleep(CALL_ENDS_SECONDS)
            if outcome.error is not None:
                await context.abort(outcome.code, outcome.text, (*outcome.trailers, *trailers))
            if trailers:
                context.set_trailing_metadata(trailers)
            return outcome.answer

        return handle

    def _stream(self, method: StreamMethod[Any]) -> Callable[[Any, Any], AsyncIterator[bytes]]:
        async def handle(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:  # noqa: ANN401
            async def answer(data: bytes) -> bytes:
                outcome, _ = await self._answer(method, data, self._call(context))
                if outcome.error is None:
                    return outcome.answer
                request = _parsed_or_none(method.request_type, data)
                return method.failed(request, outcome.code.value[0], outcome.text)

            async for data in in_order(requests, answer, STREAM_WINDOW):
                yield data

        return handle

    def _call(self, context: Any) -> Call:  # noqa: ANN401
        return Call(
            self.deadline(context.time_remaining(), time.monotonic()), context.invocation_metadata, self.split_key
        )

    def deadline(self, remaining: float | None, now: float) -> float:
        """That of a call which came at `now` with so many seconds by gRPC, None for any number."""
        limit = self._max_seconds
        return now + (limit if remaining is None or remaining > limit else remaining)

    def submit(self, method: UnaryMethod, data: bytes, call: Call, reply: Reply) -> Submitted:
        """Begin a call whose outcome goes to `reply`.

        The rows of a RunMethod are queued; they run when `start` of the model's batcher is called.
        """
        if self._tracer is not None and (trace := self._tracer.begin(call.metadata())) is not None:
            call.trace = trace
            submitted: Submitted = TracedSubmitted(self, method.name, call, reply, trace)
        else:
            submitted = Submitted(self, method.name, call, reply)
        self._metrics.in_flight += 1
        try:
            if isinstance(method, RunMethod):
                self._submit_run(method, data, call, submitted)
            else:
                submitted.follow(method.answer(parse(method.request_type, data), call))
        except Exception as error:  # noqa: BLE001 - the caller gets a status, the log the trace
            submitted.set_exception(error)
        return submitted

    def _submit_run(self, method: RunMethod[Any], data: bytes, call: Call, submitted: Submitted) -> None:
        if (run := method.recall(data, call)) is not None:
            submitted.queue(run)
            return
        request = parse(method.request_type, data)
        if method.is_heavy(request):
            submitted.follow(method.answer(request, call))
            return
        run = method.prepare(request, call)
        submitted.queue(run)
        method.learn(data, request, run)

    def failed(self, method: str, call: Call, error: Exception) -> Outcome:
        """The outcome of a request that raised `error`; the trace of an unknown one goes to the log."""
        if isinstance(error, errors.ServingError):
            outcome = Outcome(status_of(error), error=error)
        else:
            _log.error("internal error", error, method=method, **_names(call))
            outcome = Outcome(grpc.StatusCode.INTERNAL, error=errors.InternalError("internal error"))
        # It leads to those who raised it, and they to the outcome: in a circle, the rows would wait for the collector.
        error.__traceback__ = None
        return outcome

    async def _answer(
        self, method: UnaryMethod | StreamMethod[Any], data: bytes, call: Call
    ) -> tuple[Outcome, Metadata]:
        """Parse, call, and account for what came of it; a cancelled call is accounted for and raised again."""
        started = time.perf_counter()
        self._metrics.in_flight += 1
        outcome = Outcome(grpc.StatusCode.CANCELLED)
        try:
            if self._tracer is not None:
                call.trace = self._tracer.begin(call.metadata())
            request = parse(method.request_type, data)
            outcome = Outcome(grpc.StatusCode.OK, await method.answer(request, call))
        except Exception as error:  # noqa: BLE001 - the caller gets a status, the log the trace
            outcome = self.failed(method.name, call, error)
        finally:
            trailers = self.account(method.name, call, outcome, time.perf_counter() - started)
        return outcome, trailers

    def account(self, method: str, call: Call, outcome: Outcome, seconds: float) -> Metadata:
        """Metrics, trace and log line of a request that has ended; the metadata by which its caller finds these."""
        self._metrics.in_flight -= 1
        model, version = (call.served.name, str(call.served.version)) if call.served else ("", "")
        self._metrics.observe_request(model, version, method, outcome.code.name, seconds)
        # Of one, the boundary has written the reason down, whatever else is logged.
        is_internal = isinstance(outcome.error, errors.InternalError)
        if outcome.error is not None and not is_internal:
            self._metrics.count_refusal(model, version, type(outcome.error).__name__)
        if call.trace is not None and self._tracer is not None:
            call.trace.end = self._end(method, call, outcome)
            self._tracer.keep(call.trace)
        if self._log_answers or (self._log_errors and outcome.error is not None):
            _log.info(
                "request",
                method=method,
                model=model,
                version=version,
                code=outcome.code.name,
                seconds=round(seconds, 6),
                error=outcome.text or None,
                **_names(call),
            )
        elif call.trace is None and not is_internal:
            return ()
        return ((request_id.NAME, call.identify()),)

    def _end(self, method: str, call: Call, outcome: Outcome) -> CallEnd:
        return CallEnd(
            at=time.monotonic(),
            method=f"{self._service}/{method}",
            code=outcome.code.value[0],
            request_id=call.identify(),
            model=call.served.name if call.served else "",
            version=call.served.version if call.served else 0,
            error=type(outcome.error).__name__ if outcome.error else "",
            text=outcome.text,
        )


def _names(call: Call) -> dict[str, str | None]:
    """By which a call is found elsewhere: in its answer, in its trace."""
    return {"request_id": call.identify(), "trace_id": call.trace.trace_name if call.trace else None}


def parse(request_type: type[Request], data: bytes) -> Request:
    """The message in `data`; raises InvalidInput."""
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        name = request_type.DESCRIPTOR.full_name
        raise errors.InvalidInput(f"the {len(data)} bytes that came are no {name} message") from error


def _parsed_or_none(request_type: type[Request], data: bytes) -> Request | None:
    try:
        return parse(request_type, data)
    except errors.InvalidInput:
        return None
