"""Waiting: one caller's rows, from the queue to the answer.

Owns how the outputs of pieces of a caller's rows become its answer, and that a caller gets one outcome. Does not know
the queue's order, nor who runs what.
"""

from collections.abc import Hashable, Sequence
from operator import itemgetter
from typing import Protocol

import numpy as np
from msgspec import Struct

from serving.errors import InvalidInput
from serving.inference.signature import Tensors

NORMAL = 0
LOW = 1
"""Priorities."""


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


class Witness(Protocol):
    """Who wants to know which runs a caller's rows are in."""

    def take_part(self, run: "SharedRun", /) -> None:
        """Rows of the caller are in `run`, which begins now."""
        ...


class SharedRun(Struct, eq=False, weakref=True):
    """A run as those who wait for it see it: so many rows of so many callers, and the witnesses among them.

    `started` and `ended` in seconds of the queue's clock; `ended` is None while it goes on.
    """

    started: float
    rows: int
    callers: int
    witnesses: Sequence[Witness]
    ended: float | None = None


class Waiting(Struct, eq=False):
    """One caller's rows. `deadline` and `arrived` in seconds of the queue's clock; `future` gets the outputs."""

    inputs: Tensors
    rows: int
    shape_key: Hashable
    deadline: float
    arrived: float
    future: Slot
    priority: int = NORMAL
    number: int = 0
    taken: int = 0
    answered: int = 0
    pieces: list[tuple[int, Tensors]] | None = None
    witness: Witness | None = None

    def fail(self, error: Exception) -> None:
        """Give the caller an error, unless it is gone or has one."""
        if not self.future.done():
            self.future.set_exception(error)

    def deliver(self, piece: Tensors, start: int, rows: int) -> None:
        """Take the outputs of `rows` rows from row `start` on, in any order; the last ones complete the answer."""
        if self.future.done():
            return
        if rows == self.rows:
            self.future.set_result(piece)
            return
        if self.pieces is None:
            self.pieces = []
        self.pieces.append((start, piece))
        self.answered += rows
        if self.answered < self.rows:
            return
        in_order = [one for _, one in sorted(self.pieces, key=itemgetter(0))]
        try:
            whole = {name: np.concatenate([one[name] for one in in_order]) for name in piece}
        except ValueError:
            text = f"the outputs for parts of these {self.rows} rows differ in shape; send fewer rows in one request"
            self.fail(InvalidInput(text))
        else:
            self.future.set_result(whole)


class Share(Struct, eq=False):
    """So many `rows` of one caller from its row `start` on, in a run."""

    caller: Waiting
    start: int
    rows: int

    @property
    def inputs(self) -> Tensors:
        """The caller's inputs, these rows of them."""
        if self.rows == self.caller.rows:
            return self.caller.inputs
        return {name: array[self.start : self.start + self.rows] for name, array in self.caller.inputs.items()}
