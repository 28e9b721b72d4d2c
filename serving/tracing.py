"""Which calls are traced, and how their traces leave the process: OTLP over gRPC, by OpenTelemetry's exporter.

Owns the sampling, and a bounded queue to a thread that sends: a collector that is slow or gone costs traces, which are
counted, and never an answer. Needs signet[tracing]. Does not know what a span looks like, nor what is called.
"""

import logging
import os
import random
import re
import socket
import threading
import uuid
from collections import deque
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.logs import Log
from serving.rpc.call_trace import CallTrace
from serving.rpc.methods import Metadata
from serving.spans import Spans

WAITING_CALLS = 4096
"""Calls whose traces wait to be sent; those of more are lost."""

SENT_CALLS = 16
"""Calls in one message to the collector. Of each, spans and message take 0.1 ms with the interpreter's lock held, and
all who want to answer wait until one message is made."""

SEND_SECONDS = 1.0
"""How long a trace waits for others that go with it."""

PAUSE_SECONDS = 5.0
"""After traces could not be sent."""

CLOSE_SECONDS = 2.0
"""What a stop spends on the traces that wait."""

GIVE_UP_SECONDS = 0.5
"""What it then waits at most until those that are left were counted: a try that is broken off ends at once."""

_log = Log("signet.tracing")
_propagator = TraceContextTextMapPropagator()
_NOT_SAMPLED = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f][02468ace]")
"""The traceparent of most calls, where few are sampled: known in a tenth of the time that reading it takes."""


class Tracing:
    """The tracer of a server; see `serving.rpc.call_trace.Tracer`. `start`, then `close`.

    `endpoint`: host:port, in plain text, or https://host:port; what else OpenTelemetry's environment variables say of
    OTLP goes. `sample_ratio`: of the calls whose caller has not decided, this part is traced.
    """

    def __init__(self, endpoint: str, sample_ratio: float) -> None:
        self._endpoint = endpoint if "://" in endpoint else f"http://{endpoint}"
        self._bound = TraceIdRatioBased(sample_ratio).bound
        self._waiting: deque[CallTrace] = deque()
        self._awake = threading.Event()
        self._closing = threading.Event()
        self._closed = False
        self._exporter: OTLPSpanExporter | None = None
        self._thread = threading.Thread(target=self._send_all, name="traces", daemon=True)
        self._not_queued = 0
        self._not_sent = 0
        self._told = 0
        self._spans = Spans(_resource(), version("signet"))

    @property
    def lost(self) -> int:
        """Calls so far whose traces were to be sent and were not."""
        return self._not_queued + self._not_sent

    def start(self) -> None:
        """Begin to send."""
        # It would tell of each try; that it gave up is enough.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        self._exporter = OTLPSpanExporter(self._endpoint)
        self._thread.start()

    def begin(self, metadata: Metadata) -> CallTrace | None:
        """See Tracer: a caller's decision is followed; where there is none, the ratio decides."""
        said = next((value for name, value in metadata if name == "traceparent"), None)
        if isinstance(said, str) and _NOT_SAMPLED.fullmatch(said):
            return None
        parent = None if said is None else _parent(metadata)
        if parent is not None:
            is_sampled, trace_id = parent.trace_flags.sampled, parent.trace_id
        else:
            trace_id = random.getrandbits(128)
            is_sampled = trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound
        return CallTrace(trace_id, random.getrandbits(64), parent) if is_sampled else None

    def keep(self, trace: CallTrace) -> None:
        """See Tracer."""
        if len(self._waiting) >= WAITING_CALLS:
            self._not_queued += 1
            return
        self._waiting.append(trace)
        if len(self._waiting) >= SENT_CALLS and not self._awake.is_set():
            self._awake.set()

    def close(self) -> None:
        """Send what waits, for at most CLOSE_SECONDS."""
        self._closing.set()
        self._awake.set()
        self._thread.join(CLOSE_SECONDS)
        self._closed = True
        if self._exporter is not None:
            self._exporter.shutdown()
        self._thread.join(GIVE_UP_SECONDS)

    def _send_all(self) -> None:
        while not self._closing.is_set():
            self._awake.wait(SEND_SECONDS)
            self._awake.clear()
            self._send_waiting()
        self._send_waiting()
        self._not_sent += len(self._waiting)
        self._tell_lost()

    def _send_waiting(self) -> None:
        while self._waiting and not self._closed:
            calls = [self._waiting.popleft() for _ in range(min(SENT_CALLS, len(self._waiting)))]
            sent = self._send(calls)
            self._not_sent += 0 if sent else len(calls)
            self._tell_lost()
            if not sent:
                self._closing.wait(PAUSE_SECONDS)

    def _tell_lost(self) -> None:
        if self.lost > self._told:
            self._told = self.lost
            _log.error("traces were lost", calls=self._told, endpoint=self._endpoint)

    def _send(self, calls: list[CallTrace]) -> bool:
        if self._exporter is None:
            return False
        try:
            spans = [span for call in calls for span in self._spans.of(call)]
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001 - the traces behind these are sent too
            _log.error("traces cannot be sent", error)
            return False


def _parent(metadata: Metadata) -> SpanContext | None:
    """The span that the caller is in, by the W3C's trace context; None if it says none."""
    said = {name: value for name, value in metadata if isinstance(value, str)}
    parent = get_current_span(_propagator.extract(said)).get_span_context()
    return parent if parent.is_valid else None


def _resource() -> Resource:
    own = Resource(
        {
            "service.name": "signet",
            "service.version": version("signet"),
            "service.instance.id": str(uuid.uuid4()),
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
        }
    )
    return own.merge(OTELResourceDetector().detect())
