"""What is noted of a call that is traced: when each step of it began, and how it ended.

Owns the marks. Does not know which calls are traced, nor what becomes of the notes; see `serving.tracing`.
"""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from serving.inference.waiting import SharedRun
    from serving.rpc.methods import Metadata


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended. `method`: with its service; `code`: the number of the gRPC status; `error`: a class, or "".

    `at` in seconds of time.monotonic(). `model` is "" and `version` 0 where none was found.
    """

    at: float
    method: str
    code: int
    request_id: str
    model: str
    version: int
    error: str
    text: str


@dataclass(slots=True, eq=False)
class CallTrace:
    """The marks of one call, in seconds of time.monotonic(); `began_ns` is `began` in nanoseconds since the epoch.

    `parent`: the caller's span, as the tracer has it. A call that ended early lacks the marks of what it did not reach.
    """

    trace_id: int
    span_id: int
    parent: Any
    began: float = field(default_factory=time.monotonic)
    began_ns: int = field(default_factory=time.time_ns)
    decoded: float | None = None
    rows: int = 0
    runs: "list[SharedRun]" = field(default_factory=list)
    encoding: float | None = None
    end: CallEnd | None = None

    @property
    def trace_name(self) -> str:
        """The trace's id as people and tools write it."""
        return f"{self.trace_id:032x}"

    def mark_decoded(self, rows: int) -> None:
        """The request is so many rows, which now ask for a run."""
        self.decoded = time.monotonic()
        self.rows = rows

    def take_part(self, run: "SharedRun") -> None:
        """Rows of the call are in `run`."""
        self.runs.append(run)

    def mark_encoding(self) -> None:
        """The outputs are there; the answer is made of them."""
        self.encoding = time.monotonic()


class Tracer(Protocol):
    """Decides which calls are traced, and takes the notes of those."""

    def begin(self, metadata: "Metadata", /) -> CallTrace | None:
        """The notes of a call that begins now, or None."""
        ...

    def keep(self, trace: CallTrace, /) -> None:
        """Take the notes of a call that has ended; never waits."""
        ...
