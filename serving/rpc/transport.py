"""What carries the calls: grpc.aio, or the native front.

Owns the seam between the server and its transport, and the table of what each can do. Does not know what is served.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from grpc import aio

from serving.rpc.methods import StreamMethod, UnaryMethod
from serving.rpc.request_boundary import RequestBoundary


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one message, received or sent; `reuse_port` lets other processes listen on the same port."""

    max_message_bytes: int
    reuse_port: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a transport can do; the contract suite asks it which tests run where.

    `retry_pushback`: in the trailing metadata, under the name that gRPC reserves; google.rpc.RetryInfo goes on each.
    """

    tls: bool
    compression: bool
    connection_age: bool
    native_streams: bool
    retry_pushback: bool


CAPABILITIES = {
    "aio": Capabilities(tls=True, compression=True, connection_age=True, native_streams=True, retry_pushback=True),
    "native": Capabilities(
        tls=False, compression=False, connection_age=False, native_streams=False, retry_pushback=False
    ),
}


class Transport(Protocol):
    """Serves methods on one port."""

    @property
    def library_server(self) -> aio.Server:
        """A grpc.aio server for services that bring their own handlers: health, reflection."""
        ...

    def add(self, service: str, methods: Sequence[UnaryMethod | StreamMethod[Any]], boundary: RequestBoundary) -> None:
        """Serve `methods` of `service` through `boundary`; before `start`."""
        ...

    def listen(self, host: str, port: int) -> int:
        """Take the port, 0 a free one; the one taken. Raises OSError, RuntimeError."""
        ...

    async def start(self) -> None:
        """Begin to take calls."""
        ...

    async def stop(self, drain_seconds: float) -> None:
        """Refuse new calls, give those in flight so long to end, and close."""
        ...


class AioTransport:
    """grpc.aio: the reference, with every feature."""

    def __init__(self, limits: Limits) -> None:
        self.library_server = aio.server(options=aio_options(limits))

    def add(self, service: str, methods: Sequence[UnaryMethod | StreamMethod[Any]], boundary: RequestBoundary) -> None:
        """See Transport."""
        self.library_server.add_registered_method_handlers(service, boundary.handlers(methods))

    def listen(self, host: str, port: int) -> int:
        """See Transport."""
        return self.library_server.add_insecure_port(f"{host}:{port}")

    async def start(self) -> None:
        """See Transport."""
        await self.library_server.start()

    async def stop(self, drain_seconds: float) -> None:
        """See Transport."""
        await self.library_server.stop(drain_seconds)


def aio_options(limits: Limits) -> tuple[tuple[str, int], ...]:
    """The options of a grpc.aio server."""
    return (
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", limits.max_message_bytes),
        # Where it was not asked for, a second server would seem to work and take half of the connections.
        ("grpc.so_reuseport", int(limits.reuse_port)),
    )
