"""Who of those that wait has its turn, who is told at the door that it never would, and who leaves without one."""

import asyncio
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import DeadlineExceeded, Overloaded
from serving.inference.row_queue import LOW_TURN_RUNS, RowQueue
from serving.inference.waiting import LOW, NORMAL
from tests.queue_callers import caller_of, run


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Futures need a loop; it never runs."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_a_deadline_that_has_passed_is_refused_at_the_door(loop):
    queue = RowQueue(4, 10, batched=True)
    with pytest.raises(DeadlineExceeded, match="the deadline had passed when the rows came"):
        queue.put(caller_of(loop, 1, deadline=0.0), 0)
    assert queue.rows == 0


def test_rows_that_cannot_have_their_turn_in_time_are_refused_with_when_they_could(loop):
    queue = RowQueue(4, 100, batched=True)
    queue.put(caller_of(loop, 8), 0)
    text = r"8 rows are waiting, which takes at least 0\.500 s; the deadline is in 0\.250 s"
    with pytest.raises(Overloaded, match=text) as refusal:
        queue.put(caller_of(loop, 2, deadline=0.25), row_seconds=0.05)
    assert refusal.value.retry_after_seconds == 0.25
    queue.put(caller_of(loop, 2, deadline=0.5), row_seconds=0.05)
    assert queue.rows == 10


def test_where_nobody_waits_no_run_of_the_past_is_a_reason_to_refuse(loop):
    queue = RowQueue(4, 100, batched=True)
    queue.put(caller_of(loop, 2, deadline=0.25), row_seconds=60.0)
    assert len(queue.take(0)) == 1


def test_rows_of_low_priority_are_not_in_the_way_of_normal_ones(loop):
    queue = RowQueue(4, 100, batched=True)
    queue.put(caller_of(loop, 50, priority=LOW), 0)
    queue.put(caller_of(loop, 1, deadline=1.0), row_seconds=0.1)
    with pytest.raises(Overloaded, match="51 rows are waiting"):
        queue.put(caller_of(loop, 1, deadline=1.0, priority=LOW), row_seconds=0.1)


def test_normal_callers_run_before_low_ones_that_came_earlier(loop):
    queue = RowQueue(2, 100, batched=True)
    low, normal = caller_of(loop, 3, priority=LOW), caller_of(loop, 1)
    queue.put(low, 0)
    queue.put(normal, 0)
    assert [share.caller for share in queue.take(0)] == [normal, low]


@given(st.lists(st.integers(0, 3), min_size=200, max_size=200), st.integers(1, 4))
def test_low_priority_never_waits_more_than_seven_runs_for_its_next(arrivals, max_batch_rows):
    loop = asyncio.new_event_loop()
    queue = RowQueue(max_batch_rows, 10_000, batched=True)
    for _ in range(60):
        queue.put(caller_of(loop, 1, priority=LOW), 0)
    without = 0
    for count in arrivals:
        for _ in range(count):
            queue.put(caller_of(loop, max_batch_rows), 0)
        shares = queue.take(0)
        low = any(share.caller.priority == LOW for share in shares)
        without = 0 if low or not shares else without + 1
        assert without < LOW_TURN_RUNS
    loop.close()


def test_low_priority_takes_no_more_than_its_turn_while_normal_rows_wait(loop):
    queue = RowQueue(1, 10_000, batched=True)
    for priority in (NORMAL, LOW):
        for _ in range(80):
            queue.put(caller_of(loop, 1, priority=priority), 0)
    taken = [queue.take(0)[0].caller.priority for _ in range(80)]
    assert taken == ([NORMAL] * (LOW_TURN_RUNS - 1) + [LOW]) * 10


def test_callers_past_their_deadline_in_the_middle_of_the_queue_leave_before_a_run(loop):
    queue = RowQueue(1, 100, batched=True)
    first, late, last = caller_of(loop, 1), caller_of(loop, 5, deadline=2.0), caller_of(loop, 1)
    for one in (first, late, last):
        queue.put(one, 0)
    assert [share.caller for share in queue.take(2.0)] == [first]
    assert isinstance(late.future.exception(), DeadlineExceeded)
    assert queue.rows == 1


def test_rows_past_their_deadline_hold_no_room_that_others_need(loop):
    queue = RowQueue(1, 10, batched=True)
    late = caller_of(loop, 10, deadline=2.0)
    queue.put(late, 0)
    queue.put(caller_of(loop, 10, arrived=2.0), 0)
    assert isinstance(late.future.exception(), DeadlineExceeded)
    assert queue.rows == 10


def test_answered_callers_with_far_deadlines_are_not_kept():
    loop = asyncio.new_event_loop()
    queue = RowQueue(1, 10, batched=True)
    kept = []
    for _ in range(500):
        caller = caller_of(loop, 1, deadline=1e9)
        kept.append(weakref.ref(caller.inputs["x"]))
        queue.put(caller, 0)
        run(queue.take(0))
        del caller
    loop.close()
    assert not any(one() is not None for one in kept)
