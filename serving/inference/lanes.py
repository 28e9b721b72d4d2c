"""Lanes: which rows run where, now.

Owns the queue of a batcher, the threads that its runs go to, and the runs under way; the event loop and those threads
may ask at any time. A thread that ends a run takes the next one by itself: to wake another takes as long as a short
run does. Does not know who makes a run, nor what becomes of its outcomes.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from serving.errors import ServingError
from serving.inference.batch_run import BatchRun, Outcome
from serving.inference.row_queue import RowQueue
from serving.inference.waiting import Waiting

SHORT_RUN_SECONDS = 0.3e-3
"""The hand-overs to a thread and back take about as long under load, and threads within its operators cost the wire
more than they save. So the event loop makes what is shorter. Measured on 2 cores with a net of 0.47 ms a row, in a
thread against on the loop: 16 callers have 2.1 times the calls a second on aio, 1.1 on native; a lone one 0.8 to 1."""

RUNS_PER_LANE = 2
"""The one under way, and one whose outcomes wait for the loop: should that be slower, memory is not what pays."""

FEW_CORES = 2
"""Of so few, lanes at work leave the wire none."""

LONGER_ON_FEW_CORES = 5
"""So many times as long are short runs there, once as many callers wait. Measured on 2 cores with 16 callers of a net
whose row takes 0.12 ms: 1.3 times the calls a second, and half of the p99."""

CHEAP = 3
"""So many times the rows of a cheap call are less than `thread_rows`: they take a tenth of a millisecond at most. To
read and answer it costs as much, for which the wire needs one of few cores by itself."""


class Lanes:
    """`executors` have a thread each and make a run at a time; without any, the event loop makes all runs.

    The loop makes short runs too, those of fewer than `thread_rows` rows, while no lane is at work: of all rows, or of
    a part while a lane makes the rest. On few `cores` it makes all runs of cheap calls, and makes them short. `clock`:
    seconds, as deadlines are given in.
    """

    def __init__(
        self, queue: RowQueue, executors: Sequence[Executor], thread_rows: int, clock: Callable[[], float], cores: int
    ) -> None:
        self._queue = queue
        self._count = len(executors)
        self._thread_rows = thread_rows
        self._clock = clock
        self._few_cores = cores <= FEW_CORES
        self._lock = threading.Lock()
        self._free = list(executors)
        self._runs: list[BatchRun] = []

    @property
    def are_busy(self) -> bool:
        """Whether all are at work, so that the end of a run starts the next."""
        return bool(self._count) and not self._free

    @property
    def leave_it_to_loop(self) -> bool:
        """Whether the next run is the event loop's to make."""
        return self._loop_rows() is not None

    @property
    def have_threads(self) -> bool:
        """Whether there are any, so that the event loop goes on while a run does."""
        return bool(self._count)

    @property
    def have_nobody_waiting(self) -> bool:
        """Whether the queue is empty."""
        return not self._queue.callers

    @property
    def have_nothing_left(self) -> bool:
        """Whether nobody waits, and all outcomes of all runs were delivered."""
        with self._lock:
            return not (self._queue.callers or self._runs)

    def put(self, caller: Waiting) -> None:
        """Queue `caller`. Raises as `RowQueue.put`."""
        with self._lock:
            self._queue.put(caller)

    def discard(self, caller: Waiting) -> None:
        """Forget a caller who is gone; a run that nobody waits for any more ends."""
        with self._lock:
            self._queue.discard(caller)
        self.end_unless_awaited()

    def expire(self, now: float) -> float:
        """Fail those in the queue whose deadline has passed; the next deadline of the others."""
        with self._lock:
            return self._queue.expire(now)

    def fail_all(self, error: ServingError) -> None:
        """Give every caller in the queue `error`."""
        with self._lock:
            self._queue.fail_all(error)

    def running(self) -> list[Waiting]:
        """The callers with rows in a run whose outcomes were not delivered yet."""
        with self._lock:
            return [share.caller for run in self._runs for share in run.shares]

    def end_unless_awaited(self) -> None:
        """End the runs that nobody waits for any more."""
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.end_unless_awaited()

    def begin(self) -> list[BatchRun]:
        """On the event loop: the runs to make now, the last maybe by the loop itself."""
        with self._lock:
            rows = self._queue.rows
            if (loop_rows := self._loop_rows()) is not None:
                runs = [self._run_of(loop_rows, None)]
            elif rows < 2 * self._short_rows() and self._queue.callers > 1 and self._count > 1 and not self._at_work():
                # Too few for two lanes: the loop makes a short run while a lane makes the rest.
                short = self._run_of(rows // 2, None)
                runs = [self._run_of(rows, self._free.pop()), short]
            else:
                runs, part = [], self._part()
                while (run := self._next(part)) is not None:
                    runs.append(run)
        return [run for run in runs if run is not None]

    def end(self, run: BatchRun, outcomes: Sequence[Outcome]) -> None:
        """`run` is over."""
        with self._lock:
            self._end(run, outcomes)

    def go_on(self, run: BatchRun, outcomes: Sequence[Outcome]) -> BatchRun | None:
        """In the thread whose `run` is over: the one to make now, None if none is."""
        with self._lock:
            self._end(run, outcomes)
            return self._next(self._part())

    def forget(self, run: BatchRun) -> None:
        """The outcomes of `run` are about to be delivered."""
        with self._lock:
            self._runs.remove(run)

    def _at_work(self) -> bool:
        return len(self._free) < self._count

    def _short_rows(self) -> int:
        """A run of fewer rows is short, now."""
        if not self._few_cores or self._thread_rows == 1:
            return self._thread_rows
        return self._thread_rows * max(1, min(LONGER_ON_FEW_CORES, self._queue.callers))

    def _loop_rows(self) -> int | None:
        """Rows of the run that the event loop makes next without the lanes, None if it makes none."""
        rows = self._queue.rows
        if not self._count or (rows < self._short_rows() and not self._at_work()):
            return rows
        if CHEAP * rows < self._queue.callers * self._thread_rows and self._few_cores and not self._at_work():
            return min(rows, self._short_rows())
        return None

    def _part(self) -> int:
        """Rows for a lane: those at work have their part of what waits too, but no run is shorter than it must be."""
        rows = self._queue.rows
        return -(-rows // max(1, min(self._count, rows // self._short_rows())))

    def _next(self, rows: int) -> BatchRun | None:
        """One of so many rows for the lane that came free last. Few rows wait for a lane that soon comes free too."""
        few = self._queue.rows < self._short_rows()
        if not self._free or (few and self._at_work() and self._ends_soon()):
            return None
        if len(self._runs) >= RUNS_PER_LANE * self._count:
            return None
        return self._run_of(rows, self._free.pop())

    def _ends_soon(self) -> bool:
        """Whether a run under way is about to end; one that is overdue may go on for long."""
        return abs(self._queue.next_end - self._clock()) < SHORT_RUN_SECONDS

    def _run_of(self, rows: int, lane: Executor | None) -> BatchRun | None:
        """So many of the rows that wait, on `lane`, which stays free if none are left to run."""
        now = self._clock()
        shares = self._queue.take(now, max(1, rows))
        if not shares:
            if lane is not None:
                self._free.append(lane)
            return None
        run = BatchRun(shares, now, lane)
        self._runs.append(run)
        return run

    def _end(self, run: BatchRun, outcomes: Sequence[Outcome]) -> None:
        """A run that failed altogether teaches the queue nothing about times."""
        failed = all(isinstance(outcome, Exception) for outcome in outcomes)
        now = self._clock()
        self._queue.finish(0 if failed else run.rows, now - run.started)
        if run.lane is not None:
            self._free.append(run.lane)
        if run.shared is not None:
            run.shared.ended = now
