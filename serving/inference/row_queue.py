"""RowQueue: whose rows run next.

Owns the order, the bound, who is refused at the door, and which rows leave without a run. Plain and synchronous, with
the time given by the caller, so that its promises can be tested without a clock. Does not know sessions, threads, or an
event loop.
"""

import heapq
from collections import OrderedDict
from typing import TYPE_CHECKING

from serving.errors import DeadlineExceeded, Overloaded, ServingError
from serving.inference.run_time import RunTime
from serving.inference.waiting import LOW, NORMAL, Share, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER = float("inf")

LOW_TURN_RUNS = 8
"""While both priorities wait, one run in so many begins with a caller of low priority."""

QUEUE_SHARE = 0.7
"""Of a caller's time, for what is before it and for its own rows. The rest is for rows of others in its run: without
it, runs under overload would shrink to single rows, each just in time."""

SPARE_DEADLINES = 64


class RowQueue:
    """A bounded queue of rows: first in, first out within a priority, normal before low.

    `batched`: a run may hold rows of several callers and part of a caller's rows, at most `max_batch_rows` in all. Else
    each caller's rows are a run of their own, whatever their number. At most `max_rows` rows wait. `lanes`: how many
    runs go on at once. `tell` gives a caller who leaves without a run the reason.
    """

    def __init__(self, max_batch_rows: int, max_rows: int, *, batched: bool, lanes: int = 1) -> None:
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
        self._run_time = RunTime()
        self._lanes = lanes
        self._ends: list[float] = []
        self.tell: Callable[[Waiting, Exception], None] = Waiting.fail

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return sum(self._rows)

    @property
    def callers(self) -> int:
        """How many callers wait; one may have no rows."""
        return len(self._callers[NORMAL]) + len(self._callers[LOW])

    @property
    def next_end(self) -> float:
        """When the first of the runs under way is expected to end."""
        return self._ends[0] if self._ends else NEVER

    def put(self, caller: Waiting) -> None:
        """Append `caller`.

        Raises Overloaded if its rows do not fit, or if it cannot count on its answer in time; DeadlineExceeded if its
        time is over. If nobody waits and a lane is free, it has its try whatever past runs took.
        """
        left = caller.deadline - caller.arrived
        if left <= 0:
            raise DeadlineExceeded("the deadline had passed when the rows came")
        if self.rows + caller.rows > self._max_rows:
            self.expire(caller.arrived)
            if (rows := self.rows) + caller.rows > self._max_rows:
                text = f"{rows} rows are waiting and {caller.rows} more would pass the limit of {self._max_rows}"
                raise Overloaded(text, self._run_time.guess(rows))
        if left != NEVER:
            self._check_turn(caller, left)
        self._count += 1
        caller.number = self._count
        self._callers[caller.priority][caller.number] = caller
        self._rows[caller.priority] += caller.rows
        if left != NEVER:
            heapq.heappush(self._deadlines, (caller.deadline, caller.number))

    def take(self, now: float, most_rows: int | None = None) -> list[Share]:
        """The next run's shares, in order; empty if nothing waits.

        Callers gone or past their deadline leave first, and so do those whose rows would not be answered in time while
        others could. A run takes no more rows than the earliest deadline in it allows. It has at most `most_rows`: less
        than a full run, it ends before a caller who would have to be divided, unless that is its first.
        """
        self.expire(now)
        most = self._max_batch_rows if most_rows is None else min(most_rows, self._max_batch_rows)
        low_first = self._runs_without_low >= LOW_TURN_RUNS - 1
        shares: list[Share] = []
        taken = 0
        end = NEVER
        run_time = self._run_time
        begun, row = now + run_time.care * run_time.fixed, run_time.care * run_time.row
        all_answered = now + run_time.guess(self.rows)
        while taken < most:
            caller = self._head(now, all_answered, low_first=low_first and not shares)
            if caller is None:
                break
            if shares and (not self.batched or caller.shape_key != shares[0].caller.shape_key):
                break
            rows = caller.rows - caller.taken
            if self.batched:
                if shares and rows > most - taken and most < self._max_batch_rows:
                    break
                rows = min(most - taken, rows)
            end = min(end, caller.deadline)
            if shares and begun + row * (taken + rows) > end:
                break
            shares.append(Share(caller, caller.taken, rows))
            caller.taken += rows
            taken += rows
            self._rows[caller.priority] -= rows
            if caller.taken == caller.rows:
                del self._callers[caller.priority][caller.number]
        took_low = any(share.caller.priority == LOW for share in shares)
        self._runs_without_low = self._runs_without_low + 1 if self._callers[LOW] and not took_low else 0
        if shares:
            # No more than there are lanes, should the end of a run never be told.
            self._ends = sorted([*self._ends, begun + row * taken])[-self._lanes :]
        return shares

    def finish(self, rows: int, seconds: float) -> None:
        """A run of what was taken is over; learn how long its rows took, unless there is nothing to learn: 0."""
        del self._ends[:1]
        if rows:
            self._run_time.add(rows, seconds)

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

    def expire(self, now: float) -> float:
        """Fail those whose deadline has passed; the earliest of the deadlines to come, or one before it."""
        deadlines = self._deadlines
        normal, low = self._callers
        while deadlines and deadlines[0][0] <= now:
            number = heapq.heappop(deadlines)[1]
            caller = normal.get(number) or low.get(number)
            if caller is not None:
                self.discard(caller)
                waited = now - caller.arrived
                self.tell(caller, DeadlineExceeded(f"the deadline passed after {waited:.3f} s in the queue"))
        if len(deadlines) > 2 * (len(normal) + len(low)) + SPARE_DEADLINES:
            deadlines[:] = [one for one in deadlines if one[1] in normal or one[1] in low]
            heapq.heapify(deadlines)
        return deadlines[0][0] if deadlines else NEVER

    def _check_turn(self, caller: Waiting, left: float) -> None:
        """Raise Overloaded if the rows before `caller` and its own leave it too little of its time."""
        normal, low = self._rows
        ahead = normal + low if caller.priority == LOW else normal
        busy = max(0.0, self._ends[0] - caller.arrived) if len(self._ends) == self._lanes else 0.0
        if not ahead and not busy:
            return
        rows = ahead + caller.rows
        runs = max(1, self._runs(rows, caller.priority))
        seconds = busy + self._run_time.care * self._run_time.guess(rows, runs) / min(runs, self._lanes)
        if seconds > QUEUE_SHARE * left:
            text = (
                f"{ahead} rows are waiting, so that these would be answered in {seconds:.3f} s; the deadline, in "
                f"{left:.3f} s, leaves {QUEUE_SHARE * left:.3f} s for that"
            )
            raise Overloaded(text, seconds - QUEUE_SHARE * left)

    def _runs(self, rows: int, priority: int) -> int:
        """Runs until the last of `rows` rows, if that is of a caller of `priority` who comes now."""
        if self.batched:
            return -(-rows // self._max_batch_rows)
        return 1 + sum(len(callers) for callers in self._callers[: priority + 1])

    def _head(self, now: float, all_answered: float, *, low_first: bool) -> Waiting | None:
        """Who is next. `all_answered`: when a run of all rows would end, which spares most callers a closer look."""
        for callers in reversed(self._callers) if low_first else self._callers:
            while callers:
                caller = next(iter(callers.values()))
                if caller.future.done():
                    self.discard(caller)
                elif caller.deadline < all_answered and self._is_hopeless(caller, now):
                    self._give_up(caller, now)
                else:
                    return caller
        return None

    def _is_hopeless(self, caller: Waiting, now: float) -> bool:
        """Whether a run that begins now comes too late, while others wait who need it."""
        rows = caller.rows - caller.taken
        return now + self._run_time.guess(rows) > caller.deadline and rows < self.rows

    def _give_up(self, caller: Waiting, now: float) -> None:
        self.discard(caller)
        seconds = self._run_time.guess(caller.rows - caller.taken)
        left = caller.deadline - now
        text = f"these rows take {seconds:.3f} s, and when their turn came the deadline was in {left:.3f} s"
        self.tell(caller, Overloaded(text, self._run_time.guess(self.rows)))
