"""How the runs of a model use the cores, measured once when it is loaded.

Owns the choice of threads, of the rows from which a run is made in parts, and of inline runs. Does not know model
names, nor who runs.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from serving.inference.batchable import made_up_rows
from serving.inference.parted import PartedSession
from serving.inference.providers import CPU
from serving.inference.quiet import Quiet
from serving.inference.session import OnnxSession, Session, SessionError
from serving.inference.signature import Signature, Tensors, TensorSpec

SHORT_RUN_SECONDS = 0.5e-3
"""Threads save less in a run this short than they cost: the wire needs the other cores. So no part is shorter."""

INLINE_RUN_SECONDS = 200e-6
"""The longest full run that the event loop does itself: what two hand-overs between threads take under load."""

SLOWER = 1.25
"""More threads are taken unless a run takes so many times as long: on a machine busy at that time they show no gain."""

TRIALS = 5
TRIAL_SECONDS = 0.012
"""As many trials at most, and none once so much time has gone; the fastest counts."""

Open = Callable[[int], OnnxSession]
"""A session with so many intra-op threads."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """`full` takes every run; `few` is what it makes those of few rows with, and may be the same.

    Seconds are those of the fastest run measured, None where there was none. If that was since the model failed on the
    rows at hand, `full_run_failure` says why full runs cannot be made.
    """

    few: OnnxSession
    full: OnnxSession | PartedSession
    max_batch_rows: int
    one_row_seconds: float | None
    full_run_seconds: float | None
    full_run_failure: str = ""

    @property
    def sessions(self) -> tuple[OnnxSession | PartedSession, ...]:
        """Each session once."""
        return (self.few,) if self.few is self.full else (self.few, self.full)

    def unparted(self) -> "RunPlan":
        """The same for a model whose rows depend on those beside them, so that no run of it may be parted."""
        return replace(self, full=self.few, full_run_seconds=None) if isinstance(self.full, PartedSession) else self

    @property
    def inline(self) -> bool:
        """Whether even a full run is so short that the event loop should do it."""
        signature = self.few.signature
        bounded = all(-1 not in spec.shape[1:] for spec in signature.inputs)
        seconds = self.full_run_seconds
        return bounded and self.few.provider == CPU and seconds is not None and seconds < INLINE_RUN_SECONDS


def plan_runs(
    open_session: Open,
    threads: int,
    max_batch_rows: int,
    rows: Tensors | None,
    *,
    measure: bool,
    quiet: Quiet | None = None,
) -> RunPlan:
    """Open the sessions that a model is best run with, by running `rows` (made up if None) once they are the first.

    `threads`: those of every run, or with `measure`, for the CPU, those that are compared with one. A model whose runs
    of a row are short gets one thread, and where its rows are free more for the parts of runs that are not short; any
    other model gets `threads` for all runs; unless they are measured to be slower. `quiet`: with what others measure.
    Raises as `open_session` does.
    """
    compared = measure and threads > 1
    quiet = quiet or Quiet()
    with quiet.disturbing(), ThreadPoolExecutor(2) as openers:
        first, *wider = openers.map(open_session, (1, threads) if compared else (threads,))
    trial = _Trial(first.signature, rows)
    with quiet.measuring():
        if wider:
            return _compared(first, wider[0], trial, max_batch_rows)
        return _plan(first, first, trial, max_batch_rows, trial.seconds(first, 1))


def _compared(first: OnnxSession, wide: OnnxSession, trial: "_Trial", max_batch_rows: int) -> RunPlan:
    """`first` has one thread."""
    one_row = trial.seconds(first, 1)
    if one_row is None or one_row >= SHORT_RUN_SECONDS:
        wide_one_row = trial.seconds(wide, 1)
        if one_row is None or wide_one_row is None or wide_one_row <= SLOWER * one_row:
            return _plan(wide, wide, trial, max_batch_rows, wide_one_row)
        return _plan(first, first, trial, max_batch_rows, one_row)
    full_run = trial.seconds(first, max_batch_rows)
    if full_run is None or full_run < SHORT_RUN_SECONDS:
        return RunPlan(first, first, max_batch_rows, one_row, full_run, trial.failure)
    least_rows = math.ceil(SHORT_RUN_SECONDS / full_run * max_batch_rows)
    threads = min(wide.intra_op_threads, max_batch_rows // least_rows)
    if threads > 1 and all(spec.free_rows for spec in (*first.signature.inputs, *first.signature.outputs)):
        # Of an operator, threads wait for each other; of parts, only at the end of a run.
        parted = PartedSession(first, threads, least_rows)
        seconds = trial.seconds(parted, max_batch_rows)
        if seconds is not None and seconds <= SLOWER * full_run:
            return RunPlan(first, parted, max_batch_rows, one_row, seconds)
    return RunPlan(first, first, max_batch_rows, one_row, full_run, trial.failure)


def _plan(few: OnnxSession, full: OnnxSession, trial: "_Trial", max_batch_rows: int, one_row: float | None) -> RunPlan:
    full_run = trial.seconds(full, max_batch_rows)
    return RunPlan(few, full, max_batch_rows, one_row, full_run, trial.failure)


class _Trial:
    """Runs of some rows, repeated to any number; a first full run is also what pays for its memory."""

    def __init__(self, signature: Signature, rows: Tensors | None) -> None:
        fit = rows is not None and set(rows) == {spec.name for spec in signature.inputs}
        self._signature = signature
        self._rows = rows if rows is not None and fit else made_up_rows(signature)
        self.failure = ""

    def seconds(self, session: Session, rows: int) -> float | None:
        """The fastest of a few runs; None, and the reason in `failure`, if the model fails on these rows."""
        inputs = repeated_rows(self._rows, self._signature, rows)
        fastest, begun = float("inf"), time.perf_counter()
        try:
            for _ in range(TRIALS):
                started = time.perf_counter()
                session.run(inputs)
                ended = time.perf_counter()
                fastest = min(fastest, ended - started)
                if ended - begun > TRIAL_SECONDS:
                    break
        except SessionError as error:
            self.failure = f"a run of {rows} rows did not work: {error}"
            return None
        return fastest


def repeated_rows(inputs: Tensors, signature: Signature, rows: int) -> Tensors:
    """`inputs` repeated or cut to so many rows, or to what the model takes where its axis 0 is not free."""
    return {spec.name: _repeated(inputs[spec.name], spec, rows) for spec in signature.inputs}


def _repeated(array: "np.ndarray", spec: TensorSpec, rows: int) -> "np.ndarray":
    if not spec.shape:
        return np.resize(array, ())
    return np.resize(array, (rows if spec.free_rows else spec.shape[0], *array.shape[1:]))
