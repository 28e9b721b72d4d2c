"""A collector of traces on a free port, which keeps what comes by OTLP over gRPC."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue


class TraceReceiver(TraceServiceServicer):
    """The spans that came, oldest first, and the resources that they are of.

    One that `hangs` keeps nothing and answers nobody. `asked`: something came.
    """

    def __init__(self, *, hangs: bool = False) -> None:
        self.port = 0
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.asked = threading.Event()
        self.ended = threading.Event()
        self._hangs = hangs
        self._came = threading.Condition()

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:  # noqa: ARG002, N802 - the names that gRPC has
        """Keep what came."""
        self.asked.set()
        if self._hangs:
            self.ended.wait(60)
        with self._came:
            for one in request.resource_spans:
                self.resources.append(attributes(one.resource.attributes))
                for scope in one.scope_spans:
                    self.spans += scope.spans
            self._came.notify_all()
        return ExportTraceServiceResponse()

    def wait_for(self, name: str, count: int = 1, seconds: float = 20) -> list[Span]:
        """The spans called `name`, when there are `count` or more of them."""
        until = time.monotonic() + seconds
        with self._came:
            while len(found := [span for span in self.spans if span.name == name]) < count:
                if not self._came.wait(until - time.monotonic()):
                    names = [span.name for span in self.spans]
                    raise AssertionError(f"{count} spans {name} were expected in {seconds} s; there are {names}")
            return found

    def below(self, parent: Span) -> dict[str, Span]:
        """The spans whose parent is `parent`, by their names."""
        return {
            span.name: span
            for span in self.spans
            if (span.trace_id, span.parent_span_id) == (parent.trace_id, parent.span_id)
        }


@contextmanager
def trace_receiver(*, hangs: bool = False) -> Iterator[TraceReceiver]:
    """Receive until the block ends."""
    receiver = TraceReceiver(hangs=hangs)
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(receiver, server)
    receiver.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        server.stop(None).wait()


def attributes(pairs: "list[KeyValue] | Any") -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}
