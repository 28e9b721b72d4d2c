"""A model's threads, and where its runs are made, are chosen by running it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from serving.inference.quiet import Quiet
from serving.inference.run_plan import Open, RunPlan, plan_runs
from serving.inference.session import OnnxSession, RunEnd, SessionError, SessionSettings
from serving.inference.signature import Tensors
from tests import tiny_models as tiny

FULL = 8
FULL_RUNS = {(8, 1): 5e-3, (8, 4): 5e-3}


def opener(model: bytes) -> Open:
    return lambda threads: OnnxSession.open(model, SessionSettings(threads))


class TimedSession(OnnxSession):
    """A session that adds two numbers, each run of which takes at least a time that depends on rows and threads."""

    seconds: dict[tuple[int, int], float]

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        until = time.perf_counter() + self.seconds.get((self.signature.rows(inputs), self.intra_op_threads), 0)
        outputs = super().run(inputs, end)
        while time.perf_counter() < until:
            pass
        return outputs


def timed(seconds: dict[tuple[int, int], float], full: int = FULL) -> RunPlan:
    """The plan for a model whose runs take `seconds` by rows and threads, 1 or 4 of them."""

    def open_session(threads: int) -> OnnxSession:
        session = TimedSession.open(tiny.linear_model(), SessionSettings(threads))
        assert isinstance(session, TimedSession)
        session.seconds = seconds
        return session

    return plan_runs(open_session, 4, full, None, measure=True)


def threads_of(plan: RunPlan) -> tuple[int, int]:
    """Those of a run, and those of a full one."""
    return plan.session.intra_op_threads, plan.full_run_threads


def test_a_model_of_short_runs_gets_one_thread_and_runs_inline():
    plan = plan_runs(opener(tiny.linear_model()), 4, FULL, None, measure=True)
    assert threads_of(plan) == (1, 1)
    assert plan.inline


@pytest.mark.parametrize(
    ("seconds", "threads"),
    [
        pytest.param({(1, 1): 4e-3, (1, 4): 2e-3} | FULL_RUNS, (4, 4), id="a long run of one row"),
        pytest.param({(1, 1): 2e-3, (1, 4): 2e-2} | FULL_RUNS, (1, 1), id="a long run of one row, longer by threads"),
        pytest.param({(8, 1): 4e-3, (2, 1): 0.4e-3}, (1, 4), id="a long full run"),
        pytest.param({(8, 1): 4e-3, (2, 1): 2e-2}, (1, 1), id="a long full run, longer in lanes"),
    ],
)
def test_a_long_run_gets_all_threads_unless_they_slow_it_down(seconds, threads):
    plan = timed(seconds)
    assert threads_of(plan) == threads
    assert not plan.inline


@pytest.mark.parametrize(
    ("seconds", "thread_rows"),
    [
        pytest.param({(64, 1): 2.4e-3, (16, 1): 0.6e-3}, 9, id="an eighth of a full run is no longer short"),
        pytest.param({(64, 1): 0.24e-3}, 65, id="no run is long"),
        pytest.param({(1, 1): 0.18e-3, (64, 1): 2.4e-3}, 5, id="what one row takes comes before what each more does"),
        pytest.param({(1, 1): 4e-3, (1, 4): 2e-3, (64, 4): 40e-3}, 1, id="every run is"),
        pytest.param({(1, 1): 4e-3, (1, 4): 2e-3, (64, 4): 3e-3}, 1, id="every run is, and more rows take no longer"),
    ],
)
def test_a_run_goes_to_a_thread_where_its_rows_make_it_long(seconds, thread_rows):
    plan = timed(seconds, full=64)
    # The measured time is that asked for or a little more.
    assert thread_rows - 1 <= plan.thread_rows <= thread_rows
    assert plan.inline == (plan.thread_rows > plan.max_batch_rows)


def test_a_model_has_as_many_lanes_as_have_enough_to_do_with_a_full_run():
    lanes = [timed({(64, 1): full_run, (21, 1): 0.3e-3}, full=64).lanes for full_run in (0.36e-3, 1.08e-3)]
    assert lanes == [1, 3]


def test_rows_that_depend_on_each_other_stay_together():
    plan = timed({(32, 1): 8e-3}, full=32).unbatched()
    assert (plan.lanes, plan.thread_rows, threads_of(plan), plan.full_run_seconds) == (1, 1, (1, 1), None)


def test_threads_that_were_asked_for_are_kept():
    plan = plan_runs(opener(tiny.linear_model()), 3, FULL, None, measure=False)
    assert threads_of(plan) == (3, 3)


def test_what_runs_take_is_told():
    plan = timed({(1, 1): 4e-3, (1, 4): 2e-3, (8, 4): 3e-3})
    assert plan.one_row_seconds is not None
    assert plan.one_row_seconds >= 2e-3
    assert plan.full_run_seconds is not None
    assert plan.full_run_seconds >= 3e-3


def test_a_model_that_fails_on_made_up_rows_gets_all_threads_and_a_reason():
    plan = plan_runs(opener(tiny.gather_model()), 4, FULL, {"index": np.array([[7], [8], [9]])}, measure=True)
    assert threads_of(plan) == (4, 4)
    assert (plan.one_row_seconds, plan.full_run_seconds, plan.inline) == (None, None, False)
    assert plan.full_run_failure.startswith("a run of 8 rows did not work: the model failed on this input")


def test_rows_that_came_with_the_model_are_those_that_are_run():
    plan = plan_runs(opener(tiny.gather_model()), 4, FULL, {"index": np.array([[0], [1], [2]])}, measure=True)
    assert plan.full_run_failure == ""
    assert plan.inline


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(tiny.fixed_batch_model(2), id="a fixed number of rows"),
        pytest.param(tiny.identity_model(shape=()), id="no rows"),
    ],
)
def test_a_model_without_free_rows_is_run_as_it_is(model):
    assert plan_runs(opener(model), 4, FULL, None, measure=True).full_run_failure == ""


def test_a_model_whose_rows_may_be_larger_than_those_measured_is_never_run_inline():
    plan = plan_runs(opener(tiny.identity_model(shape=(None, None))), 1, FULL, None, measure=True)
    assert (plan.inline, plan.thread_rows) == (False, 1)


class WatchedQuiet(Quiet):
    """Knows what goes on now."""

    now = ""

    @contextmanager
    def disturbing(self) -> Iterator[None]:
        with super().disturbing():
            self.now = "disturbing"
            yield

    @contextmanager
    def measuring(self) -> Iterator[None]:
        with super().measuring():
            self.now = "measuring"
            yield


def test_sessions_are_opened_beside_others_and_measured_alone():
    quiet = WatchedQuiet()
    opened, run = [], []

    class WatchedSession(OnnxSession):
        def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
            run.append(quiet.now)
            return super().run(inputs, end)

    def open_session(threads: int) -> OnnxSession:
        opened.append(quiet.now)
        return WatchedSession.open(tiny.linear_model(), SessionSettings(threads))

    plan_runs(open_session, 4, FULL, None, measure=True, quiet=quiet)
    assert set(opened) == {"disturbing"}
    assert set(run) == {"measuring"}


def test_what_cannot_be_opened_is_told():
    with pytest.raises(SessionError, match="onnxruntime cannot load it"):
        plan_runs(opener(b"none"), 4, FULL, None, measure=True)
