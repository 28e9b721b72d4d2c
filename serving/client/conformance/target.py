"""The server under test: calls with a time limit, and replies that can be shown.

Owns the channel, the clock of a check and the rendering of what was sent and what came. Does not know what is right.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

import grpc
from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message

from protos.inference import service_pb2
from serving.client.conformance.check import BrokenPromise
from serving.client.connection import Connection
from serving.errors import Unavailable

SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
MAX_SHOWN = 1000
MAX_SHOWN_BYTES = 40

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Reply(Generic[M]):
    """How a call ended: the status `code` and its `text`, and the `message` if it is OK and can be read."""

    sent: str
    code: grpc.StatusCode
    text: str
    message: M | None

    @property
    def came(self) -> str:
        """The reply in a line."""
        return f"{self.code.name}: {self.text}"[:MAX_SHOWN] if self.message is None else f"OK {shown(self.message)}"

    def ok(self) -> M:
        """The message; raises BrokenPromise without one."""
        if self.message is None:
            raise self.broken("OK and an answer")
        return self.message

    def refused(self, expected: str) -> None:
        """Raises BrokenPromise unless the call ended with an error, and in time."""
        if self.code in {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED}:
            raise self.broken(expected)

    def broken(self, expected: str) -> BrokenPromise:
        """This reply as a broken promise."""
        return BrokenPromise(self.sent, self.came, expected)


class Target:
    """One server. Usable as a context manager. Not thread-safe but for `call`."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        """`seconds` is the time that each check has."""
        self._address = connection.address
        self._metadata = connection.metadata
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        (self._channel,) = replace(connection, max_message_bytes=MAX_MESSAGE_BYTES, connections=1).channels()

    def __enter__(self) -> Self:
        try:
            grpc.channel_ready_future(self._channel).result(timeout=self._seconds)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise Unavailable(f"{self._address}: no gRPC server answers within {self._seconds:g} s") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def start_clock(self) -> None:
        """A check begins: its time runs from now."""
        self._deadline = time.monotonic() + self._seconds

    def remaining_seconds(self) -> float:
        """What is left of the check's time."""
        return max(0.001, self._deadline - time.monotonic())

    def call(self, method: str, request: Message, answer: type[M]) -> Reply[M]:
        """Call `method` of the protocol."""
        return self.call_bytes(method, request.SerializeToString(), answer, f"{method} {shown(request)}")

    def call_bytes(self, method: str, request: bytes, answer: type[M], sent: str) -> Reply[M]:
        """Call `method` with bytes that need be no message; OK with bytes that are no `answer` has no message."""
        unary: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(f"/{SERVICE}/{method}")
        try:
            came = unary(request, self.remaining_seconds(), self._metadata)
        except grpc.RpcError as failed:
            return Reply(sent, failed.code(), failed.details() or "", None)
        return _parsed(came, answer, sent)

    def stream(self, method: str, requests: Sequence[Message], answer: type[M]) -> list[Reply[M]]:
        """Send all `requests` on one stream; a reply for each answer, and one more for an end that is not OK."""
        sent = f"{method}, {len(requests)} requests on a stream, the first {shown(requests[0])}"
        replies: list[Reply[M]] = []
        open_stream: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(f"/{SERVICE}/{method}")
        call: Iterator[bytes] = open_stream(
            iter([request.SerializeToString() for request in requests]), self.remaining_seconds(), self._metadata
        )
        try:
            replies.extend(_parsed(came, answer, sent) for came in call)
        except grpc.RpcError as failed:
            replies.append(Reply(sent, failed.code(), failed.details() or "", None))
        return replies


def _parsed(came: bytes, answer: type[M], sent: str) -> Reply[M]:
    try:
        return Reply(sent, grpc.StatusCode.OK, "", answer.FromString(came))
    except DecodeError:
        return Reply(sent, grpc.StatusCode.OK, f"{len(came)} bytes that are no {answer.__name__}", None)


def shown(message: Message) -> str:
    """A message in a line, long contents cut."""
    text = text_format.MessageToString(_cut(message), as_one_line=True, as_utf8=True)
    return "{" + (text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…") + "}"


def _cut(message: Message) -> Message:
    """A copy whose long contents are short."""
    copy = type(message)()
    copy.CopyFrom(message)
    _shorten(copy, lambda raw: raw if len(raw) <= MAX_SHOWN_BYTES else raw[:MAX_SHOWN_BYTES] + b"...")
    return copy


def _shorten(message: Any, cut: Callable[[bytes], bytes]) -> None:  # noqa: ANN401 - any message
    for name in ("raw_input_contents", "raw_output_contents"):
        if name in message.DESCRIPTOR.fields_by_name:
            raw = [cut(one) for one in getattr(message, name)]
            message.ClearField(name)
            getattr(message, name).extend(raw)
    for name in ("inputs", "outputs"):
        for tensor in getattr(message, name, ()):
            contents = getattr(tensor, "contents", None)
            for field, _ in contents.ListFields() if contents is not None else ():
                del getattr(contents, field.name)[16:]
