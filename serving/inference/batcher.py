"""Batcher: rows of many callers become one run.

Owns when a run starts: at once if none is under way, else with whatever queued while the last one ran. So a lone caller
never waits, and under load the batch grows by itself. Owns too when a run ends early: when nobody waits for it any
more. Knows no model name, no request.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Executor

import numpy as np

from serving.errors import DeadlineExceeded, InvalidInput, ModelNotReady
from serving.inference.alarm import Alarm
from serving.inference.row_queue import RowQueue
from serving.inference.session import RunEnd, Session, SessionError
from serving.inference.signature import Signature, Tensors
from serving.inference.statistics import RunStatistics
from serving.inference.waiting import NORMAL, Share, SharedRun, Slot, Waiting, Witness
from serving.metrics import QueueMetrics

Outcome = Tensors | Exception


class Batcher:
    """Wraps a session and has its method, but waits: `await run(inputs)`.

    Lives as long as its version. `executor` has the one thread that runs go to; without one they run on the event loop,
    which pays where a run takes less time than two hand-overs between threads. To be used from one event loop. `clock`:
    seconds, as deadlines are given in.
    """

    def __init__(
        self,
        session: Session,
        queue: RowQueue,
        executor: Executor | None,
        metrics: QueueMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._queue = queue
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._shape_names = _names_of_free_shape(session.signature)
        self._running = False
        self._shares: list[Share] = []
        self._end: RunEnd | None = None
        self._watched = False
        self._witnessed: SharedRun | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._alarm = Alarm(self._fail_late, clock)
        self.statistics = RunStatistics()
        metrics.queue_rows.set_function(lambda: queue.rows)

    @property
    def signature(self) -> Signature:
        """The session's."""
        return self._session.signature

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
        waiting = self.submit(inputs, deadline, future, priority)
        if witness is not None:
            self.watch(waiting, witness)
        self.start()
        try:
            return await future
        finally:
            if future.cancelled():
                self.discard(waiting)

    def submit(self, inputs: Tensors, deadline: float, slot: Slot, priority: int = NORMAL) -> Waiting:
        """Queue `inputs` until `start`; their outputs, or the error, go to `slot`.

        Raises ModelNotReady, and Overloaded and DeadlineExceeded as `RowQueue.put`.
        """
        if self._closed:
            raise ModelNotReady("this version is being unloaded")
        rows = self._session.signature.rows(inputs)
        waiting = Waiting(inputs, rows, self._shape_key(inputs), deadline, self._clock(), slot, priority)
        self._queue.put(waiting)
        self._idle.clear()
        if deadline < self._alarm.time and self._executor is not None:
            self._alarm.set(deadline)
        return waiting

    def watch(self, waiting: Waiting, witness: Witness) -> None:
        """Tell `witness` which runs the rows of `waiting` are in; between `submit` and `start`."""
        waiting.witness = witness
        self._watched = True

    def start(self) -> None:
        """Start a run of what was submitted, unless one is under way: that one's end starts the next.

        On the event loop, a run waits until the loop has gone through what is ready now: so calls that came together
        run together, as behind a thread they do while the run before theirs goes on.
        """
        if self._running:
            return
        self._running = True
        if self._executor is None:
            asyncio.get_running_loop().call_soon(self._start_run)
        else:
            self._start_run()

    def discard(self, waiting: Waiting) -> None:
        """Forget a caller who is gone; a run in a thread that nobody waits for any more ends."""
        self._queue.discard(waiting)
        self._end_unless_awaited()

    async def close(self, drain_seconds: float) -> None:
        """Refuse new rows, answer those that wait for at most `drain_seconds`, then fail the rest."""
        self._closed = True
        try:
            await asyncio.wait_for(self._idle.wait(), drain_seconds)
        except TimeoutError:
            self._queue.fail_all(ModelNotReady("this version was unloaded before these rows had their turn"))
        self._alarm.end()

    def _shape_key(self, inputs: Tensors) -> Hashable:
        """What must be equal for rows to share a run: every dimension but rows, in the signature's order."""
        names = self._shape_names
        return tuple([inputs[name].shape[1:] for name in names]) if names else ()

    def _end_unless_awaited(self) -> None:
        if self._end is not None and all(share.caller.future.done() for share in self._shares):
            self._end.ask()

    def _fail_late(self) -> float:
        """Fail those whose deadline passed while a run goes on, theirs or one of others; the next deadline."""
        now = self._clock()
        next_deadline = self._queue.expire(now)
        for caller in [share.caller for share in self._shares]:
            if caller.deadline <= now:
                since = now - caller.arrived
                caller.fail(DeadlineExceeded(f"the deadline passed in a run, {since:.3f} s after the rows came"))
            else:
                next_deadline = min(next_deadline, caller.deadline)
        self._end_unless_awaited()
        return next_deadline

    def _start_run(self) -> None:
        now = self._clock()
        shares = self._queue.take(now)
        if not shares:
            self._running = False
            self._idle.set()
            return
        for share in shares:
            self._metrics.queue_seconds.observe(now - share.caller.arrived)
        if self._watched:
            self._witnessed = _told_witnesses(shares, now)
        loop = asyncio.get_running_loop()
        if self._executor is None:
            self._end_run(shares, self._outcomes(shares, None), now)
            loop.call_soon(self._start_run)
            return
        self._shares, self._end = shares, RunEnd()
        try:
            future = loop.run_in_executor(self._executor, self._outcomes, shares, self._end)
        except RuntimeError as error:
            self._end_run(shares, [error] * len(shares), now)
            loop.call_soon(self._start_run)
        else:
            future.add_done_callback(lambda done: self._finish_run(shares, done, now))

    def _finish_run(self, shares: list[Share], done: "asyncio.Future[list[Outcome]]", started: float) -> None:
        self._shares, self._end = [], None
        stopped = RuntimeError("the run was cancelled") if done.cancelled() else done.exception()
        outcomes: list[Outcome] = [_as_exception(stopped)] * len(shares) if stopped else done.result()
        self._tell_queue(shares, outcomes, started)
        # While the answers are written, the next run goes on.
        self._start_run()
        self._deliver(shares, outcomes)

    def _tell_queue(self, shares: list[Share], outcomes: list[Outcome], started: float) -> None:
        """A run that failed altogether teaches the queue nothing about times."""
        failed = all(isinstance(outcome, Exception) for outcome in outcomes)
        rows = 0 if failed else sum([share.rows for share in shares])
        now = self._clock()
        self._queue.finish(rows, now - started)
        if self._witnessed is not None:
            self._witnessed.ended, self._witnessed = now, None

    def _end_run(self, shares: list[Share], outcomes: list[Outcome], started: float) -> None:
        self._tell_queue(shares, outcomes, started)
        self._deliver(shares, outcomes)

    def _deliver(self, shares: list[Share], outcomes: list[Outcome]) -> None:
        """Give each caller its outcome."""
        for share, outcome in zip(shares, outcomes, strict=True):
            if isinstance(outcome, Exception):
                share.caller.fail(outcome)
                continue
            try:
                share.caller.deliver(outcome, share.rows)
            except Exception as error:  # noqa: BLE001 - the callers behind this one wait too
                share.caller.fail(error)

    def _outcomes(self, shares: list[Share], end: RunEnd | None) -> list[Outcome]:
        """In the executor's thread: an outcome for each share, whatever happens."""
        try:
            return self._compute(shares, end)
        except Exception as error:  # noqa: BLE001 - no caller is left without an outcome
            return [error] * len(shares)

    def _compute(self, shares: list[Share], end: RunEnd | None) -> list[Outcome]:
        """Run the shares together; if that fails, halve them until the fault is alone."""
        started = self._clock()
        rows = sum([share.rows for share in shares])
        try:
            outputs = self._session.run(_joined(shares), end)
            if self._queue.batched:
                _check_rows(outputs, rows)
        except SessionError as error:
            if len(shares) == 1 or (end is not None and end.asked):
                return [InvalidInput(str(error))] * len(shares)
            self._metrics.split_failures.inc()
            middle = len(shares) // 2
            return self._compute(shares[:middle], end) + self._compute(shares[middle:], end)
        seconds = self._clock() - started
        self._metrics.run_seconds.observe(seconds)
        self._metrics.batch_rows.observe(rows)
        self._metrics.rows.inc(rows)
        self.statistics.add(len(shares), rows, seconds)
        return _divided(outputs, shares)


def _names_of_free_shape(signature: Signature) -> list[str]:
    """The inputs whose rows may differ in shape."""
    return [spec.name for spec in signature.inputs if -1 in spec.shape[1:]]


def _told_witnesses(shares: list[Share], now: float) -> SharedRun | None:
    """The run that begins, as its witnesses were told; None if there are none."""
    witnesses = [share.caller.witness for share in shares if share.caller.witness is not None]
    if not witnesses:
        return None
    run = SharedRun(now, sum([share.rows for share in shares]), len(shares), witnesses)
    for witness in witnesses:
        witness.take_part(run)
    return run


def _check_rows(outputs: Tensors, rows: int) -> None:
    """What the proof made at load could not see: a model that gives other rows on other numbers."""
    for name, array in outputs.items():
        if len(array) != rows:
            raise SessionError(f"the model gave {len(array)} rows of {name} for {rows} rows of input")


def _joined(shares: list[Share]) -> Tensors:
    if len(shares) == 1:
        return shares[0].inputs
    parts = [share.inputs for share in shares]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _divided(outputs: Tensors, shares: list[Share]) -> list[Outcome]:
    if len(shares) == 1:
        return [outputs]
    pieces: list[Outcome] = []
    start = 0
    for share in shares:
        stop = start + share.rows
        pieces.append({name: array[start:stop] for name, array in outputs.items()})
        start = stop
    return pieces


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(f"the run was ended by {type(error).__name__}")
