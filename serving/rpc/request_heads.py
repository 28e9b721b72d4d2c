"""Requests that are like earlier ones but for the raw contents at their end.

Owns the recognition of such a request by its bytes: of the same length, and the same up to the contents. A message
is read from front to back, so it says what the earlier one said, with those contents. It need not be parsed again,
which is the largest part of the cost of a small request. Does not know what requests mean.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message

MAX_LENGTHS = 256
"""Lengths of requests that are remembered; the newest stay."""

MAX_RAW_BYTES = 65_536
"""Of a larger request, parsing is a small part of the cost."""

HEADS_OF_A_LENGTH = 4
"""Heads that are remembered for one length; the newest stay."""

Request = TypeVar("Request", bound=Message)
Meaning = TypeVar("Meaning")


class RequestHeads(Generic[Request, Meaning]):
    """What requests mean by their heads. `with_raw` gives a copy of a request with other raw contents."""

    def __init__(self, request_type: type[Request], with_raw: Callable[[Request, bytes], Request]) -> None:
        self._request_type = request_type
        self._with_raw = with_raw
        self._by_length: dict[int, list[tuple[bytes, Meaning]]] = {}

    def recall(self, data: bytes) -> tuple[Meaning, int] | None:
        """What a request like `data` was learned to mean, and where its raw contents begin; None if none came."""
        for head, meaning in self._by_length.get(len(data), ()):
            if data.startswith(head):
                return meaning, len(head)
        return None

    def learn(self, data: bytes, request: Request, raw: bytes, meaning: Meaning) -> None:
        """Remember what `data` means, which was parsed to `request` with `raw`, if those contents are its end."""
        if not 0 < len(raw) <= MAX_RAW_BYTES or not data.endswith(raw):
            return
        head = data[: -len(raw)]
        if not self._ends_with_contents(head, request, raw):
            return
        others = [one for one in self._by_length.pop(len(data), []) if one[0] != head]
        self._by_length[len(data)] = [(head, meaning), *others][:HEADS_OF_A_LENGTH]
        if len(self._by_length) > MAX_LENGTHS:
            del self._by_length[next(iter(self._by_length))]

    def _ends_with_contents(self, head: bytes, request: Request, raw: bytes) -> bool:
        """Whether other bytes in the place of `raw` are read as other contents and change nothing else."""
        other = bytes([raw[0] ^ 0xFF]) * len(raw)
        try:
            return self._request_type.FromString(head + other) == self._with_raw(request, other)
        except DecodeError:
            return False
