"""The native front: HTTP/2 and gRPC in Rust, outside the interpreter's lock (pygrpc-native).

Owns the way of a batch of calls: taken from the front at once, each parsed and queued, then run and answered
together, so that the interpreter's cost is paid by the batch where it can be. Streams and library services go to a
grpc.aio server behind it. Does not know what is served.
"""

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio
from pygrpc_native import EVENT_CALL, NativeGrpcFront

from serving.logs import Log
from serving.rpc.methods import Call, Metadata, StreamMethod, UnaryMethod
from serving.rpc.request_boundary import RequestBoundary
from serving.rpc.transport import TransportSettings, aio_options

if TYPE_CHECKING:
    from serving.inference.batcher import Batcher
    from serving.rpc.submitted import Submitted

_log = Log("signet")

IO_THREADS = 1
"""Two were slower wherever the cores are shared with the models."""

BATCH_EVENTS = 256

AWAKE_SECONDS = 0.5e-3
"""For so long after the last answer the event loop looks for the next call by itself, if the one before came as soon:
on a core that sleeps, waking the thread that waits and then the loop takes longer than a short call. A caller who comes
less often costs no more than one look."""

PASS_ON_SECONDS = 0.2
"""At a stop: for the front to pass on what the server behind it sent last, since it does not say when it has."""

RESERVED = frozenset({"grpc-retry-pushback-ms"})
"""Trailing metadata that the front keeps to itself."""

Event = tuple[int, int, int, bytes | None, Any, Any]
"""Kind, call, method, message, nothing, (metadata, peer, seconds left); of a cancelled call only the first two."""


class NativeTransport:
    """Unary methods on the front; the rest behind it."""

    def __init__(self, settings: TransportSettings) -> None:
        self.library_server = aio.server(options=aio_options(settings))
        self._settings = settings
        self._methods: list[tuple[str, UnaryMethod, RequestBoundary]] = []
        self._front: NativeGrpcFront | None = None
        self._calls: dict[int, Submitted] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._drained = threading.Event()
        self._stopping = False
        self._idle_since = 0.0
        self._next_is_near = False
        self._socket_folder: str | None = None

    def add(self, service: str, methods: Sequence[UnaryMethod | StreamMethod[Any]], boundary: RequestBoundary) -> None:
        """See Transport."""
        streams = [one for one in methods if isinstance(one, StreamMethod)]
        if streams:
            self.library_server.add_registered_method_handlers(service, boundary.handlers(streams))
        self._methods += [
            (f"/{service}/{one.name}", one, boundary) for one in methods if not isinstance(one, StreamMethod)
        ]

    def listen(self, host: str, port: int) -> int:
        """See Transport."""
        self._front = NativeGrpcFront(
            f"{host}:{port}", [], io_threads=IO_THREADS, call_details=True, reuse_port=self._settings.reuse_port
        )
        return self._front.bound_port

    async def start(self) -> None:
        """See Transport."""
        front = self._listening()
        self._socket_folder = tempfile.mkdtemp(prefix="signet-")
        path = str(Path(self._socket_folder) / "library.sock")
        self.library_server.add_insecure_port(f"unix:{path}")
        await self.library_server.start()
        front.set_fallback(path)
        front.add_methods([(path, False) for path, _, _ in self._methods])
        front.start()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._receive, args=[front, loop], name="native-front", daemon=True).start()

    async def stop(self, drain_seconds: float) -> None:
        """See Transport."""
        self._stopping = True
        library = asyncio.ensure_future(self.library_server.stop(drain_seconds))
        try:
            await asyncio.wait_for(self._idle.wait(), drain_seconds)
        except TimeoutError:
            for submitted in list(self._calls.values()):
                submitted.cancel()
        await library
        await asyncio.sleep(PASS_ON_SECONDS)
        if self._front is not None:
            await asyncio.to_thread(self._front.close)
        self._drained.set()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    def _listening(self) -> NativeGrpcFront:
        if self._front is None:
            raise RuntimeError("listen before start")
        return self._front

    def _receive(self, front: NativeGrpcFront, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread of its own: wait for calls while the event loop has none, and wake it when they come."""
        while (events := front.recv_batch_details(BATCH_EVENTS)) is not None:
            self._drained.clear()
            try:
                loop.call_soon_threadsafe(self._take, events)
            except RuntimeError:
                # The loop was closed without a stop.
                front.close()
                return
            # Else the last batch, large requests too, would stay in memory until the next one comes.
            del events
            self._drained.wait()

    def _poll(self) -> None:
        """Take what came meanwhile, without a change of threads; if that is nothing, look again or let them wait."""
        events = self._listening().recv_batch_details(BATCH_EVENTS, 0)
        if events:
            self._take(events)
        elif self._next_is_near and not self._calls and time.monotonic() < self._idle_since + AWAKE_SECONDS:
            asyncio.get_running_loop().call_soon(self._poll)
        else:
            self._drained.set()

    def _take(self, events: list[Event]) -> None:
        """Begin every call of a batch, then the runs of the models they ask for."""
        now = time.monotonic()
        self._next_is_near = self._settings.cores > 1 and now < self._idle_since + AWAKE_SECONDS
        # First, so that it comes whatever happens here.
        asyncio.get_running_loop().call_soon(self._poll)
        batchers: dict[int, Batcher] = {}
        for kind, call_id, method_id, data, _, details in events:
            if kind != EVENT_CALL or data is None:
                if (left := self._calls.get(call_id)) is not None:
                    left.cancel()
                continue
            try:
                batcher = self._begin(call_id, method_id, data, details, now)
            except Exception as error:  # noqa: BLE001 - the calls behind this one wait too
                _log.error("a call could not be begun", error)
                self.fail(call_id, grpc.StatusCode.INTERNAL, "internal error", ())
                continue
            if batcher is not None:
                batchers[id(batcher)] = batcher
        for batcher in batchers.values():
            batcher.start(all_came=True)

    def _begin(self, call_id: int, method_id: int, data: bytes, details: Any, now: float) -> "Batcher | None":  # noqa: ANN401
        reply = _FrontReply(self, call_id)
        if self._stopping:
            reply.fail(grpc.StatusCode.UNAVAILABLE, "the server is stopping", ())
            return None
        if len(data) > self._settings.max_message_bytes:
            text = f"Received message larger than max ({len(data)} vs. {self._settings.max_message_bytes})"
            reply.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, text, ())
            return None
        metadata, _, remaining = details
        _, method, boundary = self._methods[method_id]
        call = Call(boundary.deadline(remaining, now), lambda: metadata, boundary.split_key)
        submitted = boundary.submit(method, data, call, reply)
        if submitted.done():
            return None
        self._calls[call_id] = submitted
        self._idle.clear()
        return submitted.batcher

    def answer(self, call_id: int, data: bytes, trailers: Metadata) -> None:
        """Send an answer, and forget the call."""
        self._forget(call_id)
        if len(data) > self._settings.max_message_bytes:
            text = f"SERVER: Sent message larger than max ({len(data)} vs. {self._settings.max_message_bytes})"
            self._listening().fail(call_id, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], text)
            return
        if trailers:
            self._listening().respond(call_id, data, None, trailers)
        else:
            self._listening().respond(call_id, data)

    def fail(self, call_id: int, code: grpc.StatusCode, text: str, trailers: Metadata) -> None:
        """Send a status, and forget the call."""
        self._forget(call_id)
        sent = [(key, value) for key, value in trailers if key not in RESERVED]
        self._listening().fail(call_id, code.value[0], text, sent)

    def _forget(self, call_id: int) -> None:
        self._calls.pop(call_id, None)
        if not self._calls:
            self._idle.set()
            self._idle_since = time.monotonic()


class _FrontReply:
    """Where one call's outcome goes."""

    __slots__ = ("_call_id", "_transport")

    def __init__(self, transport: NativeTransport, call_id: int) -> None:
        self._transport = transport
        self._call_id = call_id

    def answer(self, data: bytes, trailers: Metadata) -> None:
        """See Reply."""
        self._transport.answer(self._call_id, data, trailers)

    def fail(self, code: grpc.StatusCode, text: str, trailers: Metadata) -> None:
        """See Reply."""
        self._transport.fail(self._call_id, code, text, trailers)
