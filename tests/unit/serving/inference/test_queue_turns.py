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
from tests.queue_callers import caller_of, learn, run


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Futures need a loop; it never runs."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_a_deadline_that_has_passed_is_refused_at_the_door(loop):
    queue = RowQueue(4, 10, batched=True)
    with pytest.raises(DeadlineExceeded, match="the deadline had passed when the rows came"):
        queue.put(caller_of(loop, 1, deadline=0.0))
    assert queue.rows == 0


def test_rows_that_cannot_have_their_turn_in_time_are_refused_with_when_they_could(loop):
    queue = RowQueue(4, 100, batched=True)
    learn(queue, row_seconds=0.0625)
    queue.put(caller_of(loop, 14))
    text = (
        r"14 rows are waiting, so that these would be answered in 1\.000 s; the deadline, in 1\.000 s, leaves 0\.700 s"
    )
    with pytest.raises(Overloaded, match=text) as refusal:
        queue.put(caller_of(loop, 2, deadline=1.0))
    assert refusal.value.retry_after_seconds == pytest.approx(0.3)
    queue.put(caller_of(loop, 2, deadline=1.5))
    assert queue.rows == 16


def test_the_rest_of_the_run_under_way_counts_as_time_to_wait(loop):
    queue = RowQueue(4, 100, batched=True)
    learn(queue, row_seconds=1.0)
    queue.put(caller_of(loop, 4))
    assert len(queue.take(0.0)) == 1
    with pytest.raises(Overloaded, match=r"0 rows are waiting, so that these would be answered in 4\.500 s"):
        queue.put(caller_of(loop, 1, arrived=0.5, deadline=5.0))
    queue.put(caller_of(loop, 1, arrived=3.0, deadline=6.0))
    assert queue.rows == 1


def test_no_rows_wait_no_longer_than_the_run_under_way(loop):
    queue = RowQueue(4, 100, batched=True)
    learn(queue, row_seconds=1.0)
    queue.put(caller_of(loop, 4))
    queue.take(0.0)
    with pytest.raises(Overloaded, match="0 rows are waiting"):
        queue.put(caller_of(loop, 0, deadline=4.0))
    queue.put(caller_of(loop, 0, deadline=8.0))
    assert queue.callers == 1


def test_runs_that_go_on_at_once_share_the_time_to_wait(loop):
    queue = RowQueue(4, 100, batched=True, lanes=2)
    learn(queue, row_seconds=1.0)
    for rows in (4, 2):
        queue.put(caller_of(loop, rows))
        assert len(queue.take(0.0)) == 1
    queue.put(caller_of(loop, 8))
    # The shorter run ends in 2 seconds; 12 rows are 3 runs of 4 seconds, two of which go on at once.
    with pytest.raises(Overloaded, match=r"8 rows are waiting, so that these would be answered in 8\.000 s"):
        queue.put(caller_of(loop, 4, deadline=10.0))


def test_while_a_lane_is_free_the_runs_under_way_are_no_time_to_wait(loop):
    queue = RowQueue(4, 100, batched=True, lanes=2)
    learn(queue, row_seconds=1.0)
    queue.put(caller_of(loop, 4))
    queue.take(0.0)
    queue.put(caller_of(loop, 4, deadline=0.5))
    assert queue.rows == 4


def test_a_run_that_takes_longer_than_expected_refuses_nobody_for_what_it_should_have_taken(loop):
    queue = RowQueue(4, 100, batched=True)
    learn(queue, row_seconds=1.0)
    queue.put(caller_of(loop, 1))
    queue.take(0.0)
    queue.put(caller_of(loop, 1, arrived=60.0, deadline=60.1))
    assert queue.rows == 1


def test_where_nobody_waits_and_nothing_runs_no_run_of_the_past_is_a_reason_to_refuse(loop):
    queue = RowQueue(4, 100, batched=True)
    learn(queue, row_seconds=60.0)
    queue.put(caller_of(loop, 4))
    queue.take(0.0)
    queue.finish(4, 240.0)
    queue.put(caller_of(loop, 2, deadline=0.25))
    assert len(queue.take(0.0)) == 1


def test_who_sets_no_deadline_is_refused_by_a_full_queue_alone(loop):
    queue = RowQueue(4, 100, batched=True)
    learn(queue, row_seconds=1e6)
    queue.put(caller_of(loop, 50))
    queue.put(caller_of(loop, 50))
    with pytest.raises(Overloaded, match="pass the limit of 100"):
        queue.put(caller_of(loop, 1))


def test_unbatched_each_caller_before_one_costs_a_run(loop):
    queue = RowQueue(4, 100, batched=False)
    for rows in (1, 1, 9, 9, 1, 9, 9, 1):
        queue.finish(rows, 1.0)
    for _ in range(3):
        queue.put(caller_of(loop, 1))
    with pytest.raises(Overloaded, match="3 rows are waiting"):
        queue.put(caller_of(loop, 1, deadline=4.0))


def test_rows_that_a_run_could_not_answer_in_time_make_room_for_those_it_can(loop):
    queue = RowQueue(4, 100, batched=True)
    late, next_one = caller_of(loop, 4, deadline=3.0), caller_of(loop, 1, deadline=30.0)
    queue.put(late)
    queue.put(next_one)
    learn(queue, row_seconds=1.0)
    assert [share.caller for share in queue.take(1.0)] == [next_one]
    text = r"these rows take 4\.000 s, and when their turn came the deadline was in 2\.000 s"
    with pytest.raises(Overloaded, match=text) as refusal:
        late.future.result()
    assert refusal.value.retry_after_seconds == 1.0
    assert queue.rows == 0


def test_the_last_who_waits_has_its_try_however_little_its_time(loop):
    queue = RowQueue(4, 100, batched=True)
    waiting = [caller_of(loop, 4, deadline=2.0) for _ in range(3)]
    for one in waiting:
        queue.put(one)
    learn(queue, row_seconds=1.0)
    assert [share.caller for share in queue.take(1.0)] == waiting[-1:]


def test_a_run_takes_no_more_rows_than_its_earliest_deadline_allows(loop):
    queue = RowQueue(8, 100, batched=True)
    for number in range(8):
        queue.put(caller_of(loop, 1, number, deadline=10.0 if number else 3.0))
    learn(queue, row_seconds=1.0)
    assert [len(queue.take(now)) for now in (0.0, 3.0)] == [3, 5]


def test_rows_of_low_priority_are_not_in_the_way_of_normal_ones(loop):
    queue = RowQueue(4, 100, batched=True)
    learn(queue, row_seconds=0.1)
    queue.put(caller_of(loop, 50, priority=LOW))
    queue.put(caller_of(loop, 1, deadline=1.0))
    with pytest.raises(Overloaded, match="51 rows are waiting"):
        queue.put(caller_of(loop, 1, deadline=1.0, priority=LOW))


def test_normal_callers_run_before_low_ones_that_came_earlier(loop):
    queue = RowQueue(2, 100, batched=True)
    low, normal = caller_of(loop, 3, priority=LOW), caller_of(loop, 1)
    queue.put(low)
    queue.put(normal)
    assert [share.caller for share in queue.take(0)] == [normal, low]


@given(st.lists(st.integers(0, 3), min_size=200, max_size=200), st.integers(1, 4))
def test_low_priority_never_waits_more_than_seven_runs_for_its_next(arrivals, max_batch_rows):
    loop = asyncio.new_event_loop()
    queue = RowQueue(max_batch_rows, 10_000, batched=True)
    for _ in range(60):
        queue.put(caller_of(loop, 1, priority=LOW))
    without = 0
    for count in arrivals:
        for _ in range(count):
            queue.put(caller_of(loop, max_batch_rows))
        shares = queue.take(0)
        low = any(share.caller.priority == LOW for share in shares)
        without = 0 if low or not shares else without + 1
        assert without < LOW_TURN_RUNS
    loop.close()


def test_low_priority_takes_no_more_than_its_turn_while_normal_rows_wait(loop):
    queue = RowQueue(1, 10_000, batched=True)
    for priority in (NORMAL, LOW):
        for _ in range(80):
            queue.put(caller_of(loop, 1, priority=priority))
    taken = [queue.take(0)[0].caller.priority for _ in range(80)]
    assert taken == ([NORMAL] * (LOW_TURN_RUNS - 1) + [LOW]) * 10


def test_callers_past_their_deadline_in_the_middle_of_the_queue_leave_before_a_run(loop):
    queue = RowQueue(1, 100, batched=True)
    first, late, last = caller_of(loop, 1), caller_of(loop, 5, deadline=2.0), caller_of(loop, 1)
    for one in (first, late, last):
        queue.put(one)
    assert [share.caller for share in queue.take(2.0)] == [first]
    assert isinstance(late.future.exception(), DeadlineExceeded)
    assert queue.rows == 1


def test_rows_past_their_deadline_hold_no_room_that_others_need(loop):
    queue = RowQueue(1, 10, batched=True)
    late = caller_of(loop, 10, deadline=2.0)
    queue.put(late)
    queue.put(caller_of(loop, 10, arrived=2.0))
    assert isinstance(late.future.exception(), DeadlineExceeded)
    assert queue.rows == 10


def test_answered_callers_with_far_deadlines_are_not_kept():
    loop = asyncio.new_event_loop()
    queue = RowQueue(1, 10, batched=True)
    kept = []
    for _ in range(500):
        caller = caller_of(loop, 1, deadline=1e9)
        kept.append(weakref.ref(caller.inputs["x"]))
        queue.put(caller)
        run(queue.take(0))
        del caller
    loop.close()
    assert not any(one() is not None for one in kept)
