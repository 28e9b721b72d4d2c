"""An HTTP/2 connection written by hand, for what no well-behaved client does.

Owns frames and headers without compression (RFC 9113, RFC 7541). Does not know messages.
"""

import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
INITIAL_WINDOW_SIZE = 4
CANCEL = 8
SECONDS = 30.0


class RawConnection:
    """Connected, with a window of so many bytes for each answer; which is never opened further."""

    def __init__(self, port: int, window_bytes: int = 65535) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window_bytes)))
        self._calls = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def call(self, path: str, *messages: bytes, ends: bool = True, timeout: str = "") -> int:
        """Begin a gRPC call with these messages; the number of its stream. `timeout` as in `grpc-timeout`."""
        stream, headers = self._headers(path, timeout)
        body = b"".join(struct.pack(">BI", 0, len(one)) + one for one in messages)
        self.socket.sendall(headers + _frame(DATA, END_STREAM if ends else 0, stream, body))
        return stream

    def cancelled_calls(self, path: str, count: int) -> None:
        """Begin calls and cancel them, all in one write: none was begun on the other side."""
        calls = [self._headers(path) for _ in range(count)]
        cancel = struct.pack(">I", CANCEL)
        self.socket.sendall(b"".join(headers + _frame(RST_STREAM, 0, stream, cancel) for stream, headers in calls))

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """What comes: kind, flags, stream, payload; settings and pings are acknowledged."""
        while head := self._read(9):
            high, low, kind, flags, stream = struct.unpack(">BHBBI", head)
            payload = self._read((high << 16) + low)
            if kind in {SETTINGS, PING} and not flags & ACK:
                self.socket.sendall(_frame(kind, ACK, 0, b"" if kind == SETTINGS else payload))
            yield kind, flags, stream, payload

    def _headers(self, path: str, timeout: str = "") -> tuple[int, bytes]:
        stream = 2 * self._calls + 1
        self._calls += 1
        headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"}
        headers |= {"content-type": "application/grpc", "te": "trailers"}
        headers |= {"grpc-timeout": timeout} if timeout else {}
        return stream, _frame(HEADERS, END_HEADERS, stream, b"".join(map(_literal, headers.items())))

    def _read(self, count: int) -> bytes:
        """So many bytes, or none at the end."""
        data = b""
        while len(data) < count and (more := self.socket.recv(count - len(data))):
            data += more
        return data if len(data) == count else b""

    def reset(self) -> None:
        """Break the connection: the other side gets an RST, whatever was under way."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">BHBBI", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _literal(header: tuple[str, str]) -> bytes:
    name, value = (text.encode() for text in header)
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value
