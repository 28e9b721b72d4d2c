"""RowQueue: whose rows run next.

Owns the order, the bound, and which rows leave without a run. Plain and synchronous, with the time given by the caller,
so that its promises can be tested without a clock. Does not know sessions, threads, or an event loop.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from serving.errors import DeadlineExceeded, InvalidInput, Overloaded, ServingError
from serving.inference.signature import Tensors


class Slot(Protocol):
    """Where a caller's outputs go: an asyncio.Future, or what has these of its methods."""

    def done(self) -> bool:
        """Whether there is an outcome, or nobody who waits for one."""
        ...

    def set_result(self, outputs: Tensors, /) -> None:
        """Take the outputs."""
        ...

    def set_exception(self, error: Exception, /) -> None:
        """Take the reason why there are none."""
        ...


@dataclass(slots=True, eq=False)
class Waiting:
    """One caller's rows. `deadline` and `arrived` in seconds of the queue's clock; `future` gets the outputs."""

    inputs: Tensors
    rows: int
    shape_key: Hashable
    deadline: float
    arrived: float
    future: Slot
    taken: int = 0
    answered: int = 0
    pieces: list[Tensors] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        """Give the caller an error, unless it is gone or has one."""
        if not self.future.done():
            self.future.set_exception(error)

    def deliver(self, piece: Tensors, rows: int) -> None:
        """Take the outputs of the next `rows` rows; the last ones complete the answer."""
        if self.future.done():
            return
        if rows == self.rows:
            self.future.set_result(piece)
            return
        self.pieces.append(piece)
        self.answered += rows
        if self.answered < self.rows:
            return
        try:
            whole = {name: np.concatenate([one[name] for one in self.pieces]) for name in piece}
        except ValueError:
            text = f"the outputs for parts of these {self.rows} rows differ in shape; send fewer rows in one request"
            self.fail(InvalidInput(text))
        else:
            self.future.set_result(whole)


@dataclass(frozen=True, slots=True)
class Share:
    """The rows `start` to `stop` of one caller, in a run."""

    caller: Waiting
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """How many rows these are."""
        return self.stop - self.start

    @property
    def inputs(self) -> Tensors:
        """The caller's inputs, these rows of them."""
        if self.rows == self.caller.rows:
            return self.caller.inputs
        return {name: array[self.start : self.stop] for name, array in self.caller.inputs.items()}


class RowQueue:
    """A bounded first-in, first-out queue of rows.

    `batched`: a run may hold rows of several callers and part of a caller's rows, at most `max_batch_rows` in all. Else
    each caller's rows are a run of their own, whatever their number. At most `max_rows` rows wait.
    """

    def __init__(self, max_batch_rows: int, max_rows: int, *, batched: bool) -> None:
        self._max_batch_rows = max_batch_rows
        self._max_rows = max_rows
        self.batched = batched
        self._callers: deque[Waiting] = deque()
        self.rows = 0

    def put(self, caller: Waiting, retry_after_seconds: float) -> None:
        """Append `caller`. Raises Overloaded with `retry_after_seconds` if its rows do not fit."""
        if self.rows + caller.rows > self._max_rows:
            raise Overloaded(
                f"{self.rows} rows are waiting and {caller.rows} more would pass the limit of {self._max_rows}",
                retry_after_seconds,
            )
        self._callers.append(caller)
        self.rows += caller.rows

    def take(self, now: float) -> list[Share]:
        """The next run's shares, in order; empty if nothing waits. Callers gone or past their deadline leave first."""
        shares: list[Share] = []
        room = self._max_batch_rows
        while room and (caller := self._head(now)) is not None:
            if shares and (not self.batched or caller.shape_key != shares[0].caller.shape_key):
                break
            rows = min(room, caller.rows - caller.taken) if self.batched else caller.rows
            shares.append(Share(caller, caller.taken, caller.taken + rows))
            caller.taken += rows
            room = max(0, room - rows)
            self.rows -= rows
            if caller.taken == caller.rows:
                self._callers.popleft()
        return shares

    def discard(self, caller: Waiting) -> None:
        """Forget a caller who is gone; its rows not yet taken free their room."""
        if caller in self._callers:
            self._callers.remove(caller)
            self.rows -= caller.rows - caller.taken

    def fail_all(self, error: ServingError) -> None:
        """Give every waiting caller `error`."""
        while self._callers:
            self._pop_head().fail(error)

    def _head(self, now: float) -> Waiting | None:
        while self._callers:
            caller = self._callers[0]
            if caller.future.done():
                self._pop_head()
            elif caller.deadline <= now:
                self._pop_head().fail(
                    DeadlineExceeded(f"the deadline passed after {now - caller.arrived:.3f} s in the queue")
                )
            else:
                return caller
        return None

    def _pop_head(self) -> Waiting:
        caller = self._callers.popleft()
        self.rows -= caller.rows - caller.taken
        return caller
