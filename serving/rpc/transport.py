"""What carries the calls: grpc.aio, or the native front.

Owns the seam between the server and its transport, and the table of what each can do. Does not know what is served.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, Protocol

import grpc
from grpc import aio

from serving.rpc.methods import StreamMethod, UnaryMethod
from serving.rpc.request_boundary import RequestBoundary

MAX_PENDING_CALLS = 65_536
"""Calls that grpc.aio takes before any was begun."""

LEAST_PING_SECONDS = 5
"""How often a client may test its connection."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The server's PEM certificate chain and key; with `client_ca`, clients must show a certificate that it signed."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How calls are carried. `max_message_bytes`: of one message, received or sent.

    `max_connection_age_seconds`: after so long a client is asked to connect anew; 0 is never. `reuse_port`: whether
    other processes may listen on the same port. `cores`: those that this process may count on.
    """

    max_message_bytes: int
    tls: Tls | None = None
    compression: Literal["none", "deflate", "gzip"] = "none"
    max_connection_age_seconds: float = 0
    reuse_port: bool = False
    cores: int = 1


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a transport can do; the contract suite asks it which tests run where.

    `native_streams`: without a second server behind it. `retry_pushback`: in the trailing metadata, under the name that
    gRPC reserves; google.rpc.RetryInfo goes on each.
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


class TransportUnavailable(Exception):
    """The transport asked for is not installed or cannot do what is asked of it; the text says what to do."""


def refusal(transport: str, settings: TransportSettings) -> str:
    """Why `transport` cannot do what `settings` ask for, and what to do instead; "" if it can."""
    can = CAPABILITIES[transport]
    if settings.tls is not None and not can.tls:
        return f"tls_certificate: transport {transport} has no TLS; ask for transport aio, or end TLS in a proxy"
    if settings.compression != "none" and not can.compression:
        return f"compression: transport {transport} has none; ask for transport aio, or leave it off"
    if settings.max_connection_age_seconds and not can.connection_age:
        return (
            f"max_connection_age_seconds: transport {transport} cannot end connections by age; "
            "ask for transport aio, or balance by call in a proxy"
        )
    return ""


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

    def __init__(self, settings: TransportSettings) -> None:
        self.library_server = aio.server(options=aio_options(settings), compression=_COMPRESSIONS[settings.compression])
        self._tls = settings.tls

    def add(self, service: str, methods: Sequence[UnaryMethod | StreamMethod[Any]], boundary: RequestBoundary) -> None:
        """See Transport."""
        self.library_server.add_registered_method_handlers(service, boundary.handlers(methods))

    def listen(self, host: str, port: int) -> int:
        """See Transport."""
        if self._tls is None:
            return self.library_server.add_insecure_port(f"{host}:{port}")
        credentials = grpc.ssl_server_credentials(
            [(self._tls.key, self._tls.certificate)], self._tls.client_ca, self._tls.client_ca is not None
        )
        return self.library_server.add_secure_port(f"{host}:{port}", credentials)

    async def start(self) -> None:
        """See Transport."""
        await self.library_server.start()

    async def stop(self, drain_seconds: float) -> None:
        """See Transport."""
        await self.library_server.stop(drain_seconds)


def build_transport(name: str, settings: TransportSettings) -> Transport:
    """The transport `name`; "auto" is the native one where it is installed and can do what `settings` ask for.

    Raises TransportUnavailable.
    """
    if name == "auto":
        name = "native" if find_spec("pygrpc_native") is not None and not refusal("native", settings) else "aio"
    if text := refusal(name, settings):
        raise TransportUnavailable(text)
    if name == "aio":
        return AioTransport(settings)
    try:
        from serving.rpc.native_transport import NativeTransport  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        text = "transport: native needs pygrpc-native; install signet[native], or ask for transport aio"
        raise TransportUnavailable(text) from error
    return NativeTransport(settings)


_COMPRESSIONS = {
    "none": None,
    "deflate": grpc.Compression.Deflate,
    "gzip": grpc.Compression.Gzip,
}


def aio_options(settings: TransportSettings) -> tuple[tuple[str, int], ...]:
    """The options of a grpc.aio server."""
    options = (
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Else a second server on the same port would seem to work and take half of the connections.
        ("grpc.so_reuseport", int(settings.reuse_port)),
        # gRPC's own limits would end calls of a burst with a bare CANCELLED, where the queue says when to come back.
        ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),
        # Else a client that tests its connection oftener than every five minutes is cut off, with its calls.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_SECONDS * 1000),
    )
    if not settings.max_connection_age_seconds:
        return options
    return (*options, ("grpc.max_connection_age_ms", round(settings.max_connection_age_seconds * 1000)))
