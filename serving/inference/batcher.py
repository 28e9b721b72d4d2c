"""Batcher: rows of many callers become one run.

Owns when a run starts: at once if none is under way, else with whatever queued while the last one ran. So a lone caller
never waits, and under load the batch grows by itself. Knows no model name, no request.
"""

import asyncio
import time
from collections.abc import Hashable
from concurrent.futures import Executor

import numpy as np

from serving.errors import InvalidInput, ModelNotReady
from serving.inference.row_queue import RowQueue, Share, Slot, Waiting
from serving.inference.session import Session, SessionError
from serving.inference.signature import Signature, Tensors
from serving.metrics import QueueMetrics

Outcome = Tensors | Exception


class Batcher:
    """Wraps a session and has its method, but waits: `await run(inputs)`.

    Lives as long as its version. `executor` has the one thread that runs go to; without one they run on the event loop,
    which pays where a run takes less time than two hand-overs between threads. To be used from one event loop.
    """

    def __init__(self, session: Session, queue: RowQueue, executor: Executor | None, metrics: QueueMetrics) -> None:
        self._session = session
        self._queue = queue
        self._executor = executor
        self._metrics = metrics
        self._running = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._row_seconds = 0.0

    @property
    def signature(self) -> Signature:
        """The session's."""
        return self._session.signature

    async def run(self, inputs: Tensors, deadline: float = float("inf")) -> Tensors:
        """All outputs for `inputs`, rows in order. `deadline`: seconds of time.monotonic().

        Raises Overloaded if the queue is full, DeadlineExceeded, ModelNotReady once closed, InvalidInput if the model
        fails on these rows. Cancelled, its rows not yet running leave the queue.
        """
        future: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()
        waiting = self.submit(inputs, deadline, future)
        self.start()
        try:
            return await future
        finally:
            if future.cancelled():
                self.discard(waiting)

    def submit(self, inputs: Tensors, deadline: float, slot: Slot) -> Waiting:
        """Queue `inputs` until `start`; their outputs, or the error, go to `slot`. Raises Overloaded, ModelNotReady."""
        if self._closed:
            raise ModelNotReady("this version is being unloaded")
        rows = self.signature.rows(inputs)
        waiting = Waiting(inputs, rows, self._shape_key(inputs), deadline, time.monotonic(), slot)
        self._queue.put(waiting, retry_after_seconds=self._queue.rows * self._row_seconds)
        self._idle.clear()
        return waiting

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
        """Forget a caller who is gone."""
        self._queue.discard(waiting)

    async def close(self, drain_seconds: float) -> None:
        """Refuse new rows, answer those that wait for at most `drain_seconds`, then fail the rest."""
        self._closed = True
        try:
            await asyncio.wait_for(self._idle.wait(), drain_seconds)
        except TimeoutError:
            self._queue.fail_all(ModelNotReady("this version was unloaded before these rows had their turn"))

    def _shape_key(self, inputs: Tensors) -> Hashable:
        """What must be equal for rows to share a run: every dimension but rows, in the signature's order."""
        return tuple(inputs[spec.name].shape[1:] for spec in self.signature.inputs)

    def _start_run(self) -> None:
        now = time.monotonic()
        shares = self._queue.take(now)
        self._metrics.queue_rows.set(self._queue.rows)
        if not shares:
            self._running = False
            self._idle.set()
            return
        for share in shares:
            self._metrics.queue_seconds.observe(now - share.caller.arrived)
        loop = asyncio.get_running_loop()
        if self._executor is None:
            self._deliver(shares, self._compute(shares))
            loop.call_soon(self._start_run)
        else:
            future = loop.run_in_executor(self._executor, self._compute, shares)
            future.add_done_callback(lambda done: self._finish_run(shares, done))

    def _finish_run(self, shares: list[Share], done: "asyncio.Future[list[Outcome]]") -> None:
        error = done.exception()
        self._deliver(shares, done.result() if error is None else [_as_exception(error)] * len(shares))
        self._start_run()

    def _deliver(self, shares: list[Share], outcomes: list[Outcome]) -> None:
        for share, outcome in zip(shares, outcomes, strict=True):
            if isinstance(outcome, Exception):
                share.caller.fail(outcome)
            else:
                share.caller.deliver(outcome, share.rows)

    def _compute(self, shares: list[Share]) -> list[Outcome]:
        """In the executor's thread: run the shares together; if that fails, halve them until the fault is alone."""
        started = time.perf_counter()
        rows = sum(share.rows for share in shares)
        try:
            outputs = self._session.run(_joined(shares))
            if self._queue.batched:
                _check_rows(outputs, rows)
        except SessionError as error:
            if len(shares) == 1:
                return [InvalidInput(str(error))]
            self._metrics.split_failures.inc()
            middle = len(shares) // 2
            return self._compute(shares[:middle]) + self._compute(shares[middle:])
        seconds = time.perf_counter() - started
        self._row_seconds = seconds / max(rows, 1)
        self._metrics.run_seconds.observe(seconds)
        self._metrics.batch_rows.observe(rows)
        self._metrics.rows.inc(rows)
        return list(_divided(outputs, shares))


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
        pieces.append({name: array[start : start + share.rows] for name, array in outputs.items()})
        start += share.rows
    return pieces


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(f"the run was ended by {type(error).__name__}")
