"""How a server is reached: address, TLS, token, connections and what each of them is told.

Owns the options of a channel and the rule where a token may travel, for both clients and for the load generator. Does
not know calls.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

import grpc
from grpc import aio

from serving.errors import InvalidInput

DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_CONNECTIONS = 128

MIN_KEEP_ALIVE_SECONDS = 10
"""gRPC servers cut off clients that test their connections oftener than they allow: ours every 5 s."""

KEEP_ALIVE_ANSWER_SECONDS = 10
"""A ping that is not answered for so long ends its connection."""

Compression = Literal["none", "deflate", "gzip"]

Pem = str | os.PathLike[str] | bytes
"""The path of a PEM file, or its content as bytes."""

_COMPRESSIONS = {
    "none": grpc.Compression.NoCompression,
    "deflate": grpc.Compression.Deflate,
    "gzip": grpc.Compression.Gzip,
}


@dataclass(frozen=True, slots=True)
class Tls:
    """Talk in secret. `ca` are the certificates that vouch for the server, by default those that gRPC ships.

    `certificate` (a chain) and its `key` are what the client shows, where the server asks. `server_name` is the name in
    the server's certificate where that is not the address's.
    """

    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = field(default=None, repr=False)
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files; raises InvalidInput naming the one that is not what it should be."""
        if (self.certificate is None) != (self.key is None):
            raise InvalidInput("tls: a certificate and its key were expected; one came without the other")
        return grpc.ssl_channel_credentials(
            root_certificates=_pem("ca", self.ca, "CERTIFICATE-----"),
            private_key=_pem("key", self.key, "PRIVATE KEY-----"),
            certificate_chain=_pem("certificate", self.certificate, "CERTIFICATE-----"),
        )


@dataclass(frozen=True, slots=True)
class Connection:
    """All that `Client` takes but the time of a call; see there."""

    address: str
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    connections: int = 1
    tls: Tls | None = None
    token: str = field(default="", repr=False)
    compression: Compression = "none"
    keep_alive_seconds: float | None = None
    round_robin: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.connections <= MAX_CONNECTIONS:
            raise InvalidInput(f"connections: {self.connections} came; 1 to {MAX_CONNECTIONS} was expected")
        if self.compression not in _COMPRESSIONS:
            raise InvalidInput(
                f"compression: {self.compression!r} came; one of {', '.join(_COMPRESSIONS)} was expected"
            )
        if self.keep_alive_seconds is not None and not self.keep_alive_seconds >= MIN_KEEP_ALIVE_SECONDS:
            raise InvalidInput(
                f"keep_alive_seconds: {self.keep_alive_seconds} came; {MIN_KEEP_ALIVE_SECONDS} or more was expected"
            )
        if not all("!" <= letter <= "~" for letter in self.token):
            raise InvalidInput("token: a letter came that no header holds; visible ASCII was expected")
        if self.token and self.tls is None and not _is_loopback(self.address):
            raise InvalidInput(f"token: it would travel readable to {self.address}; TLS was expected (tls, --tls)")
        if self.tls is not None:
            self.tls.credentials()  # So that a file that is wrong is told now.

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call carries beside its message."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channels(self) -> list[grpc.Channel]:
        """As many channels as there shall be connections; each connects by itself when it is used."""
        compression = _COMPRESSIONS[self.compression]
        if self.tls is None:
            return [grpc.insecure_channel(self.address, self._options(), compression) for _ in range(self.connections)]
        credentials = self.tls.credentials()
        return [
            grpc.secure_channel(self.address, credentials, self._options(), compression)
            for _ in range(self.connections)
        ]

    def async_channels(self) -> list[aio.Channel]:
        """The same for asyncio; they belong to the event loop that runs now."""
        compression = _COMPRESSIONS[self.compression]
        if self.tls is None:
            return [aio.insecure_channel(self.address, self._options(), compression) for _ in range(self.connections)]
        credentials = self.tls.credentials()
        return [
            aio.secure_channel(self.address, credentials, self._options(), compression) for _ in range(self.connections)
        ]

    def _options(self) -> Sequence[tuple[str, int | str]]:
        options: list[tuple[str, int | str]] = [
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            # One retry policy, that of `calls`.
            ("grpc.enable_retries", 0),
            # gRPC's own pauses between connects are longer than those between tries there.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # Else all channels of a process to one address share one connection, and so one worker.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if _is_loopback(self.address):
            # A proxy would read the token, and is never meant for this machine.
            options.append(("grpc.enable_http_proxy", 0))
        if self.keep_alive_seconds is not None:
            options += [
                ("grpc.keepalive_time_ms", round(self.keep_alive_seconds * 1000)),
                ("grpc.keepalive_timeout_ms", KEEP_ALIVE_ANSWER_SECONDS * 1000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_pings_without_data", 0),
            ]
        if self.round_robin:
            options.append(("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})))
        targets = _targets(self.address)
        if len(targets) > 1:
            # gRPC would name the server by all of its addresses at once, which HTTP/2 servers and proxies refuse.
            options.append(("grpc.default_authority", targets[0]))
        if self.tls is not None and self.tls.server_name:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options


def _pem(field: str, pem: Pem | None, marker: str) -> bytes | None:
    if pem is None:
        return None
    came = "the bytes that came"
    if not isinstance(pem, bytes):
        came = os.fspath(pem)
        try:
            pem = Path(pem).read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise InvalidInput(f"tls: {field} {came}: cannot be read: {reason}") from error
    if marker.encode() not in pem:
        raise InvalidInput(f"tls: {field}: {came} hold no {marker.strip('-').lower()} in PEM")
    return pem


def _targets(address: str) -> list[str]:
    """Each host, most with a port, of an address in one of gRPC's notations for hosts."""
    scheme, _, rest = address.partition(":")
    hosts = rest if scheme in {"dns", "ipv4", "ipv6"} else address
    return hosts.rpartition("/")[2].split(",")


def _is_loopback(address: str) -> bool:
    """Whether what is sent to `address` stays on this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    return all(_is_loopback_host(one.rpartition(":")[0] or one) for one in _targets(address))


def _is_loopback_host(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
