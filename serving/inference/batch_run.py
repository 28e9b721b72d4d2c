"""BatchRun: rows of several callers that are computed together, and how.

Owns how shares become a run's inputs and its outputs theirs, and the search for the rows that a model fails on. Does
not know when runs start, nor the queue.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future

import numpy as np
from msgspec import Struct, field

from serving.errors import InvalidInput
from serving.inference.session import RunEnd, Session, SessionError
from serving.inference.signature import Tensors
from serving.inference.statistics import RunStatistics
from serving.inference.waiting import Share, SharedRun
from serving.metrics import QueueMetrics

Outcome = Tensors | Exception


class BatchRun(Struct, eq=False):
    """Shares that run together since `started`, in seconds of the queue's clock, on `lane`, None for the event loop.

    `end` ends it early. `shared`: what its witnesses were told, None if there are none.
    """

    shares: Sequence[Share]
    started: float
    lane: Executor | None
    end: RunEnd = field(default_factory=RunEnd)
    shared: SharedRun | None = None

    @property
    def rows(self) -> int:
        """Of all shares."""
        return sum([share.rows for share in self.shares])

    def end_unless_awaited(self) -> None:
        """Let it end now if no caller waits for it any more."""
        if all(share.caller.future.done() for share in self.shares):
            self.end.ask()

    def tell_witnesses(self) -> None:
        """Say to those callers who want to know that the run begins."""
        witnesses = [share.caller.witness for share in self.shares if share.caller.witness is not None]
        if witnesses:
            self.shared = SharedRun(self.started, self.rows, len(self.shares), witnesses)
            for witness in witnesses:
                witness.take_part(self.shared)


def outcomes_of(run: BatchRun, done: "Future[Sequence[Outcome]]") -> Sequence[Outcome]:
    """What came of a run in a thread, whatever ended it: an outcome for each share."""
    stopped = RuntimeError("the run was cancelled") if done.cancelled() else done.exception()
    if stopped is None:
        return done.result()
    error = stopped if isinstance(stopped, Exception) else RuntimeError(f"{type(stopped).__name__} ended the run")
    return [error] * len(run.shares)


class RunMaker:
    """Makes the runs of one session, several at once in as many threads.

    `batched`: the model gives a row for each row it takes; one that does not fails.
    """

    def __init__(self, session: Session, metrics: QueueMetrics, clock: Callable[[], float], *, batched: bool) -> None:
        self._session = session
        self._metrics = metrics
        self._clock = clock
        self._batched = batched
        self.statistics = RunStatistics()

    def outcomes(self, run: BatchRun) -> Sequence[Outcome]:
        """An outcome for each share, whatever happens."""
        try:
            return self._compute(run.shares, run.end)
        except Exception as error:  # noqa: BLE001 - no caller is left without an outcome
            return [error] * len(run.shares)

    def _compute(self, shares: Sequence[Share], end: RunEnd) -> list[Outcome]:
        """Run the shares together; if that fails, halve them until the fault is alone."""
        started = self._clock()
        rows = sum([share.rows for share in shares])
        try:
            outputs = self._session.run(_joined(shares), end)
            if self._batched:
                _check_rows(outputs, rows)
        except SessionError as error:
            if len(shares) == 1 or end.asked:
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


def _check_rows(outputs: Tensors, rows: int) -> None:
    """What the proof made at load could not see: a model that gives other rows on other numbers."""
    for name, array in outputs.items():
        if len(array) != rows:
            raise SessionError(f"the model gave {len(array)} rows of {name} for {rows} rows of input")


def _joined(shares: Sequence[Share]) -> Tensors:
    if len(shares) == 1:
        return shares[0].inputs
    parts = [share.inputs for share in shares]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _divided(outputs: Tensors, shares: Sequence[Share]) -> list[Outcome]:
    if len(shares) == 1:
        return [outputs]
    pieces: list[Outcome] = []
    start = 0
    for share in shares:
        stop = start + share.rows
        pieces.append({name: array[start:stop] for name, array in outputs.items()})
        start = stop
    return pieces
