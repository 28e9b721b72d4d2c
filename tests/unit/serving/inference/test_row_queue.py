"""The queue's promises, on whatever callers do and with a clock that the test turns."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import DeadlineExceeded, ModelNotReady, Overloaded
from serving.inference.row_queue import RowQueue
from tests.queue_callers import NEVER, caller_of, drained, learn, numbers, run


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Futures need a loop; it never runs."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


callers = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 2)), max_size=12)
"""Rows and width of each."""


@given(callers, st.integers(1, 8))
def test_every_row_runs_once_in_order_and_every_caller_gets_its_own(asked, max_batch_rows):
    loop = asyncio.new_event_loop()
    queue = RowQueue(max_batch_rows, 1000, batched=True)
    waiting, first = [], 0
    for rows, width in asked:
        waiting.append(caller_of(loop, rows, first, width))
        queue.put(waiting[-1])
        first += rows
    runs = drained(queue)
    for shares in runs:
        run(shares)
    assert [row for shares in runs for row in numbers(shares)] == list(range(first))
    assert [one.future.result()["y"].tolist() for one in waiting] == [
        (one.inputs["x"] * 10).tolist() for one in waiting
    ]
    loop.close()


@given(callers, st.integers(1, 8))
def test_a_run_never_holds_more_rows_than_allowed_nor_rows_of_two_shapes(asked, max_batch_rows):
    loop = asyncio.new_event_loop()
    queue = RowQueue(max_batch_rows, 1000, batched=True)
    for rows, width in asked:
        queue.put(caller_of(loop, rows, width=width))
    for shares in drained(queue):
        assert 1 <= sum(share.rows for share in shares) <= max_batch_rows
        assert len({share.caller.shape_key for share in shares}) == 1
    loop.close()


@given(callers, st.integers(1, 20))
def test_no_more_rows_wait_than_the_bound_and_all_are_counted(asked, max_rows):
    loop = asyncio.new_event_loop()
    queue = RowQueue(4, max_rows, batched=True)
    accepted = 0
    for rows, width in asked:
        fits = accepted + rows <= max_rows
        try:
            queue.put(caller_of(loop, rows, width=width))
        except Overloaded:
            assert not fits
        else:
            assert fits
            accepted += rows
        assert queue.rows == accepted
    for shares in drained(queue):
        accepted -= sum(share.rows for share in shares)
    assert (accepted, queue.rows) == (0, 0)
    loop.close()


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["waits", "expired", "cancelled", "discarded"]))))
def test_rows_of_callers_gone_or_too_late_never_run_and_free_their_room(asked):
    loop = asyncio.new_event_loop()
    queue = RowQueue(4, 1000, batched=True)
    expected: list[int] = []
    first = 0
    for rows, fate in asked:
        caller = caller_of(loop, rows, first, deadline=5.0 if fate == "expired" else NEVER)
        queue.put(caller)
        if fate == "cancelled":
            caller.future.cancel()
        if fate == "discarded":
            queue.discard(caller)
        if fate == "waits":
            expected += range(first, first + rows)
        first += rows
    assert [row for shares in drained(queue, now=5.0) for row in numbers(shares)] == expected
    assert queue.rows == 0
    loop.close()


@given(st.lists(st.integers(1, 12), max_size=8))
def test_unbatched_each_caller_is_a_run_of_its_own_whatever_its_rows(asked):
    loop = asyncio.new_event_loop()
    queue = RowQueue(4, 1000, batched=False)
    for rows in asked:
        queue.put(caller_of(loop, rows))
    runs = drained(queue)
    assert [[share.rows for share in shares] for shares in runs] == [[rows] for rows in asked]
    loop.close()


def test_a_full_queue_says_how_full_and_when_to_come_back(loop):
    queue = RowQueue(4, 10, batched=True)
    learn(queue, row_seconds=0.25)
    queue.put(caller_of(loop, 7))
    with pytest.raises(Overloaded, match="7 rows are waiting and 4 more would pass the limit of 10") as refusal:
        queue.put(caller_of(loop, 4))
    assert refusal.value.retry_after_seconds == 7 * 0.25


def test_the_expired_are_told_how_long_they_waited(loop):
    queue = RowQueue(4, 10, batched=True)
    late = caller_of(loop, 1, deadline=2.0)
    queue.put(late)
    assert queue.take(2.5) == []
    with pytest.raises(DeadlineExceeded, match=r"the deadline passed after 2\.500 s in the queue"):
        late.future.result()


def test_a_caller_whose_time_is_not_over_is_run(loop):
    queue = RowQueue(4, 10, batched=True)
    queue.put(caller_of(loop, 1, deadline=2.0))
    assert len(queue.take(1.999)) == 1


def test_a_caller_that_expires_halfway_does_not_run_on(loop):
    queue = RowQueue(4, 10, batched=True)
    large = caller_of(loop, 10, deadline=2.0)
    queue.put(large)
    first = queue.take(1.0)
    assert queue.take(3.0) == []
    run(first)
    assert isinstance(large.future.exception(), DeadlineExceeded)
    assert queue.rows == 0


def test_a_caller_that_leaves_halfway_frees_the_room_of_the_rows_that_were_not_taken(loop):
    queue = RowQueue(4, 10, batched=True)
    large, next_one = caller_of(loop, 7), caller_of(loop, 2)
    queue.put(large)
    queue.put(next_one)
    queue.take(0)
    queue.discard(large)
    assert queue.rows == 2
    assert [share.caller for share in queue.take(0)] == [next_one]


def test_one_failed_piece_fails_the_caller_once_and_for_all(loop):
    queue = RowQueue(4, 10, batched=True)
    large = caller_of(loop, 8)
    queue.put(large)
    first, second = queue.take(0), queue.take(0)
    first[0].caller.fail(ModelNotReady("gone"))
    run(second)
    assert isinstance(large.future.exception(), ModelNotReady)


def test_all_that_wait_can_be_failed(loop):
    queue = RowQueue(4, 100, batched=True)
    waiting = [caller_of(loop, 3), caller_of(loop, 9)]
    for one in waiting:
        queue.put(one)
    queue.fail_all(ModelNotReady("unloaded"))
    assert [str(one.future.exception()) for one in waiting] == ["unloaded", "unloaded"]
    assert queue.rows == 0
    assert queue.take(0) == []
