"""The notes of a traced call as OpenTelemetry's spans.

Owns their names, attributes, links and status: one of kind SERVER for the call, below it decode, queue, run and encode,
and a span for a run that traced calls shared. Does not know which calls are traced, nor where spans go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from serving.inference.waiting import SharedRun
from serving.rpc.call_trace import CallEnd, CallTrace

SERVER_FAULTS = frozenset({2, 4, 12, 13, 14, 15})
"""The gRPC statuses that make a server's span an error, by OpenTelemetry's conventions: the others are the caller's."""

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)

Attributes = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class _Step:
    """What of a call went on from `start` to `end`, in seconds of time.monotonic()."""

    name: str
    start: float
    end: float
    run: SharedRun | None = None


class Spans:
    """Makes the spans of calls, of the server that `resource` describes. To be used from one thread."""

    def __init__(self, resource: Resource, version: str) -> None:
        self._resource = resource
        self._scope = InstrumentationScope("signet", version)
        self._ids = RandomIdGenerator()
        self._shared: WeakKeyDictionary[SharedRun, SpanContext] = WeakKeyDictionary()

    def of(self, trace: CallTrace) -> list[ReadableSpan]:
        """The spans of a call that has ended; with them that of each run that no other call has told of yet."""
        end = trace.end
        if end is None:
            raise RuntimeError("the spans were asked for of a call that has not ended")
        status = Status(StatusCode.ERROR, end.text) if end.code in SERVER_FAULTS else _UNSET
        context = _context(trace)
        spans = [
            self._span(
                end.method,
                context,
                (trace, trace.began, end.at),
                _attributes(trace, end),
                parent=trace.parent,
                kind=SpanKind.SERVER,
                status=status,
            )
        ]
        steps = _steps(trace, end.at)
        for step in steps:
            links: list[Link] = []
            attributes: Attributes = {}
            if step.run is not None:
                attributes = _run_attributes(step.run)
                links = self._links(step.run, trace, end, spans)
            child = SpanContext(context.trace_id, self._ids.generate_span_id(), is_remote=False, trace_flags=_SAMPLED)
            spans.append(
                self._span(
                    step.name,
                    child,
                    (trace, step.start, step.end),
                    attributes,
                    parent=context,
                    links=links,
                    status=status if step is steps[-1] else _UNSET,
                )
            )
        # Else a run and the calls in it would keep each other in memory.
        trace.runs.clear()
        return spans

    def _links(self, run: SharedRun, trace: CallTrace, end: CallEnd, spans: list[ReadableSpan]) -> list[Link]:
        """To the span of a run that traced calls shared; the first of them to ask adds it to `spans`."""
        calls = [one for one in run.witnesses if isinstance(one, CallTrace)]
        if len(calls) == 1 or run.ended is None:
            return []
        shared = self._shared.get(run)
        if shared is None:
            trace_id, span_id = self._ids.generate_trace_id(), self._ids.generate_span_id()
            shared = self._shared[run] = SpanContext(trace_id, span_id, is_remote=False, trace_flags=_SAMPLED)
            attributes = {**_model_attributes(end), **_run_attributes(run)}
            links = [Link(_context(one)) for one in calls]
            spans.append(self._span("batch", shared, (trace, run.started, run.ended), attributes, links=links))
        return [Link(shared)]

    def _span(
        self,
        name: str,
        context: SpanContext,
        time: tuple[CallTrace, float, float],
        attributes: Attributes,
        *,
        parent: SpanContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
        status: Status = _UNSET,
    ) -> ReadableSpan:
        trace, start, end = time
        return ReadableSpan(
            name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            links=links,
            kind=kind,
            status=status,
            start_time=_nanoseconds(trace, start),
            end_time=_nanoseconds(trace, end),
            instrumentation_scope=self._scope,
        )


def _context(trace: CallTrace) -> SpanContext:
    state = trace.parent.trace_state if trace.parent is not None else None
    return SpanContext(trace.trace_id, trace.span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state)


def _nanoseconds(trace: CallTrace, at: float) -> int:
    """Since the epoch."""
    return trace.began_ns + round((at - trace.began) * 1e9)


def _steps(trace: CallTrace, end: float) -> list[_Step]:
    """What the call went through, as far as it came; nothing if it was refused before its rows were known."""
    if trace.decoded is None:
        return []
    runs = [_Step("run", run.started, min(run.ended or end, end), run) for run in tuple(trace.runs)]
    steps = [
        _Step("decode", trace.began, trace.decoded),
        _Step("queue", trace.decoded, runs[0].start if runs else end),
        *runs,
    ]
    if trace.encoding is not None:
        steps.append(_Step("encode", trace.encoding, end))
    return steps


def _attributes(trace: CallTrace, end: CallEnd) -> Attributes:
    service, _, method = end.method.partition("/")
    attributes: Attributes = {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "rpc.grpc.status_code": end.code,
        "signet.request_id": end.request_id,
        **_model_attributes(end),
    }
    if trace.decoded is not None:
        attributes["signet.rows"] = trace.rows
    if end.error:
        attributes["error.type"] = end.error
    return attributes


def _model_attributes(end: CallEnd) -> Attributes:
    return {"signet.model": end.model, "signet.version": end.version} if end.model else {}


def _run_attributes(run: SharedRun) -> Attributes:
    return {"signet.batch.rows": run.rows, "signet.batch.calls": run.callers}
