"""Which rows run where: in the event loop while they are few, else shared out among the lanes that are free."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from serving.inference.batch_run import BatchRun
from serving.inference.lanes import Lanes
from serving.inference.row_queue import RowQueue
from tests.queue_callers import NEVER, caller_of
from tests.step_executor import StepExecutor

MAX_BATCH_ROWS = 64
THREAD_ROWS = 10


@pytest.fixture
def two() -> Iterator[SimpleNamespace]:
    """Two lanes on cores enough: .wait(rows) queues a caller, .begin() and .go_on(run) give what begins: rows and lane.

    The time is .now.
    """
    loop = asyncio.new_event_loop()
    executors = [StepExecutor(), StepExecutor()]
    driven = SimpleNamespace(now=0.0)
    queue = RowQueue(MAX_BATCH_ROWS, 1000, batched=True, lanes=2)
    lanes = Lanes(queue, executors, THREAD_ROWS, lambda: driven.now, cores=3)

    def facts(run: BatchRun | None) -> tuple[int, str] | None:
        if run is None:
            return None
        return run.rows, next((name for name, lane in zip("ab", executors, strict=True) if lane is run.lane), "loop")

    def begin() -> list[tuple[int, str] | None]:
        driven.runs = lanes.begin()
        return [facts(run) for run in driven.runs]

    def go_on(run: BatchRun) -> tuple[int, str] | None:
        driven.following = lanes.go_on(run, [{"y": np.zeros(run.rows)}])
        return facts(driven.following)

    driven.lanes, driven.begin, driven.go_on = lanes, begin, go_on
    driven.wait = lambda rows, **facts: lanes.put(caller_of(loop, rows, **facts))
    yield driven
    loop.close()


@pytest.mark.parametrize(
    ("rows", "runs"),
    [
        pytest.param([1] * 9, [(9, "loop")], id="few"),
        pytest.param([1] * 50, [(25, "b"), (25, "a")], id="of cheap calls"),
        pytest.param([3] * 4, [(6, "b"), (6, "loop")], id="enough for one lane, which the loop helps"),
        pytest.param([5, 9, 5], [(14, "b"), (5, "loop")], id="of callers who are not divided"),
        pytest.param([1, 18], [(18, "b"), (1, "loop")], id="most of one caller"),
        pytest.param([19], [(19, "b")], id="of one caller, enough for one lane"),
        pytest.param([20], [(10, "b"), (10, "a")], id="of one caller, enough for two"),
        pytest.param([101], [(51, "b"), (50, "a")], id="less than two full runs"),
        pytest.param([300], [(64, "b"), (64, "a")], id="more than two full runs"),
    ],
)
def test_rows_are_shared_out_among_loop_and_lanes(two, rows, runs):
    for count in rows:
        two.wait(count)
    assert two.begin() == runs


@pytest.mark.parametrize(
    ("callers", "thread_rows", "runs"),
    [
        pytest.param([9], 10, [(9, "loop")], id="a lone caller's few rows"),
        pytest.param([40], 10, [(20, "lane"), (20, "lane")], id="a lone caller's many"),
        pytest.param([10, 9], 10, [(19, "loop")], id="twice as many of two callers"),
        pytest.param([10, 10, 9], 10, [(29, "loop")], id="three times as many of three"),
        pytest.param(
            [10, 10, 10, 10], 10, [(20, "lane"), (20, "loop")], id="more of four, of which the loop makes half"
        ),
        pytest.param([9] * 6, 10, [(27, "lane"), (27, "loop")], id="more than five times as many"),
        pytest.param([1] * 60, 10, [(50, "loop")], id="cheap calls, though there are more"),
        pytest.param([2, 2, 2, 2], 1, [(4, "lane"), (4, "lane")], id="a heavy model's"),
    ],
)
def test_on_two_cores_runs_of_several_callers_are_short_for_longer(callers, thread_rows, runs):
    loop = asyncio.new_event_loop()
    executors = [StepExecutor(), StepExecutor()]
    lanes = Lanes(RowQueue(MAX_BATCH_ROWS, 1000, batched=True), executors, thread_rows, lambda: 0.0, cores=2)
    for rows in callers:
        lanes.put(caller_of(loop, rows))
    assert [(run.rows, "loop" if run.lane is None else "lane") for run in lanes.begin()] == runs
    loop.close()


def test_few_rows_do_not_wait_for_a_run_that_is_overdue(two):
    give_a_lane_a_run(two)
    two.now = 0.1
    two.wait(1)
    assert two.begin() == [(1, "b")]


def give_a_lane_a_run(two: SimpleNamespace) -> None:
    """Of 19 rows, which will take 5 ms, as 20 did before on each of the lanes."""
    two.wait(40)
    two.begin()
    two.now = 0.01
    for run in two.runs:
        two.go_on(run)
        two.lanes.forget(run)
    two.wait(19)
    assert two.begin() == [(19, "a")]


def test_few_rows_have_a_free_lane_if_the_other_is_at_work_for_long(two):
    give_a_lane_a_run(two)
    two.wait(1)
    assert two.begin() == [(1, "b")]


def test_few_rows_wait_for_a_lane_whose_run_ends_soon(two):
    two.wait(20)
    two.begin()
    first, second = two.runs
    two.wait(9)
    assert two.begin() == []
    assert two.go_on(first) is None
    assert two.begin() == []
    assert two.go_on(second) == (9, "a")


def test_who_ends_a_run_goes_on_with_what_waits_and_leaves_the_other_lane_its_part(two):
    two.wait(20)
    two.begin()
    first, second = two.runs
    two.wait(40)
    assert two.go_on(first) == (20, "b")
    assert two.go_on(second) == (10, "a")
    two.lanes.forget(first)
    assert two.go_on(two.following) == (10, "a")


def test_no_lane_gets_ahead_of_the_loop_by_more_than_a_run(two):
    two.wait(1000)
    two.begin()
    first, second = two.runs
    assert two.go_on(first) == (64, "b")
    assert two.go_on(second) == (64, "a")
    assert two.go_on(two.following) is None
    two.lanes.forget(first)
    assert two.begin() == [(64, "a")]


def test_a_lane_that_finds_nobody_in_time_is_free_again(two):
    two.wait(20)
    two.begin()
    two.wait(15, deadline=1.0, arrived=0.0)
    two.lanes.expire(2.0)
    assert two.go_on(two.runs[0]) is None
    assert not two.lanes.are_busy
    two.wait(20)
    assert two.begin() == [(10, "b")]
    assert two.lanes.are_busy


def test_all_is_done_once_nobody_waits_and_the_outcomes_were_delivered(two):
    assert two.lanes.have_nothing_left
    two.wait(5)
    assert not two.lanes.have_nothing_left
    two.begin()
    (run,) = two.runs
    two.lanes.end(run, [{"y": np.zeros(5)}])
    assert not two.lanes.have_nothing_left
    two.lanes.forget(run)
    assert two.lanes.have_nothing_left


def test_a_caller_without_rows_has_its_run_too(two):
    two.wait(0)
    assert two.begin() == [(0, "loop")]


def test_without_lanes_the_loop_makes_all_runs():
    loop = asyncio.new_event_loop()
    lanes = Lanes(RowQueue(MAX_BATCH_ROWS, 1000, batched=True), [], THREAD_ROWS, lambda: 0.0, cores=2)
    lanes.put(caller_of(loop, 100, deadline=NEVER))
    assert [(run.rows, run.lane) for run in lanes.begin()] == [(64, None)]
    assert not lanes.are_busy
    loop.close()
