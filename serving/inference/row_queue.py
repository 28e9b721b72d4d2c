"""RowQueue: whose rows run next.

Owns the order, the bound, who is refused at the door, and which rows leave without a run. Plain and synchronous, with
the time given by the caller, so that its promises can be tested without a clock. Does not know sessions, threads, or an
event loop.
"""

import heapq
from collections import OrderedDict

from serving.errors import DeadlineExceeded, Overloaded, ServingError
from serving.inference.waiting import LOW, Share, Waiting

LOW_TURN_RUNS = 8
"""While both priorities wait, one run in so many begins with a caller of low priority."""

SPARE_DEADLINES = 64


class RowQueue:
    """A bounded queue of rows: first in, first out within a priority, normal before low.

    `batched`: a run may hold rows of several callers and part of a caller's rows, at most `max_batch_rows` in all. Else
    each caller's rows are a run of their own, whatever their number. At most `max_rows` rows wait.
    """

    def __init__(self, max_batch_rows: int, max_rows: int, *, batched: bool) -> None:
        self._max_batch_rows = max_batch_rows
        self._max_rows = max_rows
        self.batched = batched
        # Ordered dictionaries, since a connection that breaks takes thousands of callers out of the middle at once.
        self._callers: tuple[OrderedDict[int, Waiting], OrderedDict[int, Waiting]] = (OrderedDict(), OrderedDict())
        self._rows = [0, 0]
        self._count = 0
        # Numbers instead of callers, so that a deadline far away does not keep the arrays of who was answered long ago.
        self._deadlines: list[tuple[float, int]] = []
        self._runs_without_low = 0

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return sum(self._rows)

    def put(self, caller: Waiting, row_seconds: float) -> None:
        """Append `caller`; `row_seconds` is what a row costs at the least, 0 where that is not known.

        Raises Overloaded if its rows do not fit, or if the rows before them take longer than its time; DeadlineExceeded
        if that is over.
        """
        left = caller.deadline - caller.arrived
        if left <= 0:
            raise DeadlineExceeded("the deadline had passed when the rows came")
        if self.rows + caller.rows > self._max_rows:
            self._expire(caller.arrived)
            if (rows := self.rows) + caller.rows > self._max_rows:
                text = f"{rows} rows are waiting and {caller.rows} more would pass the limit of {self._max_rows}"
                raise Overloaded(text, rows * row_seconds)
        ahead = self.rows if caller.priority == LOW else self._rows[0]
        seconds = (ahead + caller.rows) * row_seconds
        if ahead and seconds > left:
            text = f"{ahead} rows are waiting, which takes at least {seconds:.3f} s; the deadline is in {left:.3f} s"
            raise Overloaded(text, seconds - left)
        self._count += 1
        caller.number = self._count
        self._callers[caller.priority][caller.number] = caller
        self._rows[caller.priority] += caller.rows
        if left != float("inf"):
            heapq.heappush(self._deadlines, (caller.deadline, caller.number))

    def take(self, now: float) -> list[Share]:
        """The next run's shares, in order; empty if nothing waits. Callers gone or past their deadline leave first."""
        self._expire(now)
        low_first = self._runs_without_low >= LOW_TURN_RUNS - 1
        shares: list[Share] = []
        room = self._max_batch_rows
        while room and (caller := self._head(low_first=low_first and not shares)) is not None:
            if shares and (not self.batched or caller.shape_key != shares[0].caller.shape_key):
                break
            rows = min(room, caller.rows - caller.taken) if self.batched else caller.rows
            shares.append(Share(caller, caller.taken, rows))
            caller.taken += rows
            room = max(0, room - rows)
            self._rows[caller.priority] -= rows
            if caller.taken == caller.rows:
                del self._callers[caller.priority][caller.number]
        took_low = any(share.caller.priority == LOW for share in shares)
        self._runs_without_low = self._runs_without_low + 1 if self._callers[LOW] and not took_low else 0
        return shares

    def discard(self, caller: Waiting) -> None:
        """Forget a caller who is gone; its rows not yet taken free their room."""
        if self._callers[caller.priority].pop(caller.number, None) is not None:
            self._rows[caller.priority] -= caller.rows - caller.taken

    def fail_all(self, error: ServingError) -> None:
        """Give every waiting caller `error`."""
        for callers in self._callers:
            for caller in list(callers.values()):
                self.discard(caller)
                caller.fail(error)

    def _head(self, *, low_first: bool) -> Waiting | None:
        for callers in reversed(self._callers) if low_first else self._callers:
            while callers:
                caller = next(iter(callers.values()))
                if not caller.future.done():
                    return caller
                self.discard(caller)
        return None

    def _expire(self, now: float) -> None:
        deadlines = self._deadlines
        normal, low = self._callers
        while deadlines and deadlines[0][0] <= now:
            number = heapq.heappop(deadlines)[1]
            caller = normal.get(number) or low.get(number)
            if caller is not None:
                self.discard(caller)
                waited = now - caller.arrived
                caller.fail(DeadlineExceeded(f"the deadline passed after {waited:.3f} s in the queue"))
        if len(deadlines) > 2 * (len(normal) + len(low)) + SPARE_DEADLINES:
            deadlines[:] = [one for one in deadlines if one[1] in normal or one[1] in low]
            heapq.heapify(deadlines)
