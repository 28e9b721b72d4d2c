"""Batcher: rows of many callers become runs.

Owns when a run starts: at once if a lane is free, else with whatever queued until one is. So a lone caller waits
for nobody, and under load the batch grows by itself. Owns too that every caller has its outcome, be it the end of its
time. Knows no model name, no request.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, Future
from functools import partial

from serving.errors import DeadlineExceeded, ModelNotReady
from serving.inference.alarm import Alarm
from serving.inference.batch_run import BatchRun, Outcome, RunMaker, outcomes_of
from serving.inference.lanes import Lanes
from serving.inference.loop_calls import LoopCalls
from serving.inference.row_queue import RowQueue
from serving.inference.session import Session
from serving.inference.signature import Signature, Tensors
from serving.inference.statistics import RunStatistics
from serving.inference.waiting import NORMAL, Slot, Waiting, Witness
from serving.metrics import QueueMetrics


class Batcher:
    """Wraps a session and has its method, but waits: `await run(inputs)`.

    Lives as long as its version. `executors`, `thread_rows` and `cores`: see Lanes. To be used from one event loop.
    `clock`: seconds, as deadlines are given in.
    """

    def __init__(
        self,
        session: Session,
        queue: RowQueue,
        executors: Sequence[Executor],
        metrics: QueueMetrics,
        clock: Callable[[], float] = time.monotonic,
        thread_rows: int = 1,
        cores: int = 1,
    ) -> None:
        self.signature: Signature = session.signature
        self._lanes = Lanes(queue, executors, thread_rows, clock, cores)
        self._maker = RunMaker(session, metrics, clock, batched=queue.batched)
        self._metrics = metrics
        self._clock = clock
        self._shape_names = _names_of_free_shape(session.signature)
        self._on_loop = LoopCalls()
        self._called = False
        self._watched = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._alarm = Alarm(self._fail_late, clock)
        queue.tell = self._on_loop.fail
        metrics.queue_rows.set_function(lambda: queue.rows)

    @property
    def statistics(self) -> RunStatistics:
        """Of the runs so far."""
        return self._maker.statistics

    async def run(
        self,
        inputs: Tensors,
        deadline: float = float("inf"),
        priority: int = NORMAL,
        witness: Witness | None = None,
    ) -> Tensors:
        """All outputs for `inputs`, rows in order. `deadline`: seconds of the clock; `priority`: NORMAL or LOW.

        Raises Overloaded if the queue is full or too long for the deadline, DeadlineExceeded, ModelNotReady once
        closed, InvalidInput if the model fails on these rows. Cancelled, its rows not yet running leave the queue.
        """
        future: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()
        waiting = self.submit(inputs, deadline, future, priority, witness)
        self.start()
        try:
            return await future
        finally:
            if future.cancelled():
                self.discard(waiting)

    def submit(
        self,
        inputs: Tensors,
        deadline: float,
        slot: Slot,
        priority: int = NORMAL,
        witness: Witness | None = None,
    ) -> Waiting:
        """Queue `inputs` until `start`, or until a lane comes free; their outputs, or the error, go to `slot`.

        `witness` is told which runs its rows are in. Raises ModelNotReady, and Overloaded and DeadlineExceeded as
        `RowQueue.put`.
        """
        if self._closed:
            raise ModelNotReady("this version is being unloaded")
        self._on_loop.bind()
        rows = self.signature.rows(inputs)
        waiting = Waiting(inputs, rows, self._shape_key(inputs), deadline, self._clock(), slot, priority)
        if witness is not None:
            waiting.witness = witness
            self._watched = True
        self._lanes.put(waiting)
        self._idle.clear()
        if deadline < self._alarm.time and self._lanes.have_threads:
            self._alarm.set(deadline)
        return waiting

    def start(self, *, all_came: bool = False) -> None:
        """Start runs of what was submitted, unless all lanes are at work: the end of a run starts the next.

        On the event loop, a run waits until the loop has gone through what is ready now, unless `all_came` that did
        together: so such calls run together, as behind a thread they do while the run before theirs goes on.
        """
        if self._called or self._lanes.are_busy:
            return
        if self._lanes.leave_it_to_loop and not all_came:
            self._called = True
            asyncio.get_running_loop().call_soon(self._start_runs)
        else:
            self._start_runs()

    def discard(self, waiting: Waiting) -> None:
        """Forget a caller who is gone; a run in a thread that nobody waits for any more ends."""
        self._lanes.discard(waiting)

    async def close(self, drain_seconds: float) -> None:
        """Refuse new rows, answer those that wait for at most `drain_seconds`, then fail the rest."""
        self._closed = True
        try:
            await asyncio.wait_for(self._idle.wait(), drain_seconds)
        except TimeoutError:
            self._lanes.fail_all(ModelNotReady("this version was unloaded before these rows had their turn"))
        self._alarm.end()

    def _shape_key(self, inputs: Tensors) -> Hashable:
        """What must be equal for rows to share a run: every dimension but rows, in the signature's order."""
        names = self._shape_names
        return tuple([inputs[name].shape[1:] for name in names]) if names else ()

    def _fail_late(self) -> float:
        """Fail those whose deadline passed while a run goes on, theirs or one of others; the next deadline."""
        now = self._clock()
        next_deadline = self._lanes.expire(now)
        for caller in self._lanes.running():
            if caller.deadline <= now:
                since = now - caller.arrived
                caller.fail(DeadlineExceeded(f"the deadline passed in a run, {since:.3f} s after the rows came"))
            else:
                next_deadline = min(next_deadline, caller.deadline)
        self._lanes.end_unless_awaited()
        return next_deadline

    def _start_runs(self) -> None:
        self._called = False
        runs = self._lanes.begin()
        for run in runs:
            if run.lane is not None:
                self._hand_over(run, run.lane)
                self._observe_wait(run)
                continue
            self._observe_wait(run)
            self._tell_witnesses(run)
            outcomes = self._maker.outcomes(run)
            self._lanes.end(run, outcomes)
            self._deliver(run, outcomes)
        if not runs:
            self._settle()

    def _hand_over(self, run: BatchRun, lane: Executor) -> None:
        self._tell_witnesses(run)
        try:
            future = lane.submit(self._maker.outcomes, run)
        except RuntimeError as error:
            outcomes = [error] * len(run.shares)
            self._lanes.end(run, outcomes)
            self._on_loop.call(self._deliver, run, outcomes)
        else:
            future.add_done_callback(partial(self._go_on, run))

    def _go_on(self, run: BatchRun, done: "Future[Sequence[Outcome]]") -> None:
        """In the lane's thread: begin the next run, and have the answers of this one written while that goes on."""
        outcomes = outcomes_of(run, done)
        following = self._lanes.go_on(run, outcomes)
        if following is not None and following.lane is not None:
            self._hand_over(following, following.lane)
            self._on_loop.call(self._observe_wait, following)
        self._on_loop.call(self._deliver, run, outcomes)

    def _observe_wait(self, run: BatchRun) -> None:
        for share in run.shares:
            self._metrics.queue_seconds.observe(run.started - share.caller.arrived)

    def _tell_witnesses(self, run: BatchRun) -> None:
        if self._watched:
            run.tell_witnesses()

    def _deliver(self, run: BatchRun, outcomes: Sequence[Outcome]) -> None:
        """Give each caller its outcome."""
        self._lanes.forget(run)
        for share, outcome in zip(run.shares, outcomes, strict=True):
            try:
                if isinstance(outcome, Exception):
                    share.caller.fail(outcome)
                else:
                    share.caller.deliver(outcome, share.start, share.rows)
            except Exception as error:  # noqa: BLE001 - the callers behind this one wait too
                share.caller.fail(error)
        if self._lanes.have_nobody_waiting:
            self._settle()
        else:
            self.start()

    def _settle(self) -> None:
        if self._lanes.have_nothing_left:
            self._idle.set()


def _names_of_free_shape(signature: Signature) -> list[str]:
    """The inputs whose rows may differ in shape."""
    return [spec.name for spec in signature.inputs if -1 in spec.shape[1:]]
