"""How the runs of a model use the cores, measured once when it is loaded.

Owns the choice of threads, of lanes, and of the rows from which a run goes to one. Does not know model names, nor who
runs.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from serving.inference.batchable import made_up_rows
from serving.inference.lane_runs import LaneRuns
from serving.inference.lanes import SHORT_RUN_SECONDS
from serving.inference.providers import CPU
from serving.inference.quiet import Quiet
from serving.inference.session import OnnxSession, SessionError
from serving.inference.signature import Signature, Tensors, TensorSpec

SLOWER = 1.25
"""More threads are taken unless a run takes so many times as long: on a machine busy at that time they show no gain."""

TRIALS = 5
TRIAL_SECONDS = 0.006
"""As many trials at most, and none once so much time has gone; the fastest counts."""

LONE_TRIAL_SECONDS = 0.048
"""A trial that took less than this, but more than all were to take, has a second one: it may have been held up."""

Open = Callable[[int], OnnxSession]
"""A session with so many intra-op threads."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """`session` makes all runs, `lanes` of them at once; those of fewer than `thread_rows` rows are short.

    Seconds are those of the fastest run measured, None where there was none; those of a full run with its rows shared
    out among the lanes. If that was since the model failed on the rows at hand, `full_run_failure` says why full runs
    cannot be made.
    """

    session: OnnxSession
    lanes: int
    thread_rows: int
    max_batch_rows: int
    one_row_seconds: float | None
    full_run_seconds: float | None
    full_run_failure: str = ""

    @property
    def inline(self) -> bool:
        """Whether even a full run is so short that the event loop should make it."""
        return self.thread_rows > self.max_batch_rows

    @property
    def full_run_threads(self) -> int:
        """Those that the rows of a full run are shared out among."""
        return self.lanes * self.session.intra_op_threads

    def unbatched(self) -> "RunPlan":
        """The same for a model whose rows must not be divided, so that a run may have any number of them."""
        return replace(
            self, lanes=1, thread_rows=1, full_run_seconds=self.full_run_seconds if self.lanes == 1 else None
        )


def plan_runs(
    open_session: Open,
    threads: int,
    max_batch_rows: int,
    rows: Tensors | None,
    *,
    measure: bool,
    quiet: Quiet | None = None,
) -> RunPlan:
    """Open the session that a model is best run with, by running `rows` (made up if None) once they are the first.

    `threads`: those of every run, or with `measure`, for the CPU, those that are compared with one. A model whose runs
    of a row are short gets one thread, and where its rows are free as many lanes as `threads`; any other model gets
    `threads` for all runs; unless they are measured to be slower. `quiet`: with what others measure. Raises as
    `open_session` does.
    """
    compared = measure and threads > 1
    quiet = quiet or Quiet()
    with quiet.disturbing(), ThreadPoolExecutor(2) as openers:
        first, *wider = openers.map(open_session, (1, threads) if compared else (threads,))
    trial = _Trial(first.signature, rows)
    with quiet.measuring():
        session, one_row = _chosen(first, wider, trial)
        full_run = trial.seconds(session, max_batch_rows)
        thread_rows = _thread_rows(session, one_row, full_run, max_batch_rows)
        plan = RunPlan(session, 1, thread_rows, max_batch_rows, one_row, full_run, trial.failure)
        if wider and session is first and full_run is not None and _is_short(one_row):
            return _with_lanes(plan, threads, full_run, trial)
        return plan


def _chosen(first: OnnxSession, wider: list[OnnxSession], trial: "_Trial") -> tuple[OnnxSession, float | None]:
    """The session, and what it takes for a row. `first` has one thread if there are `wider` ones."""
    one_row = trial.seconds(first, 1)
    if not wider or _is_short(one_row):
        return first, one_row
    wide_one_row = trial.seconds(wider[0], 1)
    if one_row is None or wide_one_row is None or wide_one_row <= SLOWER * one_row:
        return wider[0], wide_one_row
    return first, one_row


def _is_short(seconds: float | None) -> bool:
    return seconds is not None and seconds < SHORT_RUN_SECONDS


def _thread_rows(session: OnnxSession, one_row: float | None, full_run: float | None, max_batch_rows: int) -> int:
    """The rows of a run that is not short, on the line between those measured; one where rows may be larger."""
    bounded = all(-1 not in spec.shape[1:] for spec in session.signature.inputs)
    if not bounded or session.provider != CPU or one_row is None or full_run is None or one_row >= SHORT_RUN_SECONDS:
        return 1
    if full_run < SHORT_RUN_SECONDS:
        return max_batch_rows + 1
    return 1 + math.ceil((SHORT_RUN_SECONDS - one_row) / (full_run - one_row) * (max_batch_rows - 1))


def _with_lanes(plan: RunPlan, threads: int, full_run: float, trial: "_Trial") -> RunPlan:
    """As many lanes as have enough to do with a full run, if they make it no slower."""
    lanes = min(threads, plan.max_batch_rows // plan.thread_rows)
    signature = plan.session.signature
    if lanes > 1 and all(spec.free_rows for spec in (*signature.inputs, *signature.outputs)):
        seconds = trial.seconds(plan.session, plan.max_batch_rows, lanes)
        if seconds is not None and seconds <= SLOWER * full_run:
            return replace(plan, lanes=lanes, full_run_seconds=seconds)
    return replace(plan, full_run_failure=trial.failure)


class _Trial:
    """Runs of some rows, repeated to any number; a first full run is also what pays for its memory."""

    def __init__(self, signature: Signature, rows: Tensors | None) -> None:
        fit = rows is not None and set(rows) == {spec.name for spec in signature.inputs}
        self._signature = signature
        self._rows = rows if rows is not None and fit else made_up_rows(signature)
        self.failure = ""

    def seconds(self, session: OnnxSession, rows: int, lanes: int = 1) -> float | None:
        """The fastest of a few runs; None, and the reason in `failure`, if the model fails on these rows."""
        inputs = repeated_rows(self._rows, self._signature, rows)
        fastest, begun = float("inf"), time.perf_counter()
        with ExitStack() as stack:
            threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(lanes if lanes > 1 else 0)]
            runs = LaneRuns(session, threads, 1)
            try:
                for trial in range(TRIALS):
                    started = time.perf_counter()
                    runs.run(inputs)
                    ended = time.perf_counter()
                    fastest = min(fastest, ended - started)
                    if ended - begun > (TRIAL_SECONDS if trial else LONE_TRIAL_SECONDS):
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
