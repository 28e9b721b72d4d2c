"""Whatever the sequence of arrivals, runs, failures, departures and time: the books are right, and nobody is lost."""

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from serving.errors import DeadlineExceeded, ModelNotReady, Overloaded
from serving.inference.row_queue import RowQueue
from serving.inference.waiting import LOW, NORMAL, Share
from tests.queue_callers import NEVER, caller_of, numbers, run

MAX_BATCH_ROWS = 4
MAX_ROWS = 24


class QueueLife(RuleBasedStateMachine):
    """Callers come, wait, run, fail, leave or expire, in any order; a run may be under way meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.queue = RowQueue(MAX_BATCH_ROWS, MAX_ROWS, batched=True)
        self.now = 0.0
        self.next_row = 0
        self.running: list[Share] = []
        self.accepted: list[Any] = []

    @rule(
        rows=st.integers(1, 10),
        width=st.integers(1, 2),
        priority=st.sampled_from([NORMAL, LOW]),
        patience=st.sampled_from([NEVER, 0.5, 3.0]),
    )
    def come(self, rows: int, width: int, priority: int, patience: float) -> None:
        caller = caller_of(self.loop, rows, self.next_row, width, self.now + patience, self.now, priority)
        self.next_row += rows
        before = self.queue.rows
        try:
            self.queue.put(caller)
        except Overloaded:
            assert before + rows > MAX_ROWS
            assert not caller.future.done()
        else:
            self.accepted.append(caller)

    @rule(seconds=st.sampled_from([0.25, 1.0, 4.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        if self.running:
            return
        self.running = self.queue.take(self.now)
        assert sum(share.rows for share in self.running) <= MAX_BATCH_ROWS
        assert len({share.caller.shape_key for share in self.running}) <= 1
        assert not any(share.caller.future.done() or share.caller.deadline <= self.now for share in self.running)

    @rule()
    def finish(self) -> None:
        run(self.running)
        self.running = []

    @rule(which=st.integers(0, MAX_BATCH_ROWS))
    def fail(self, which: int) -> None:
        for share in self.running[which : which + 1]:
            share.caller.fail(ModelNotReady("this run failed"))

    @rule(which=st.integers(0, 1000))
    def leave(self, which: int) -> None:
        waiting = [caller for caller in self.accepted if not caller.future.done()]
        if waiting:
            caller = waiting[which % len(waiting)]
            caller.future.cancel()
            self.queue.discard(caller)

    @rule(which=st.integers(0, 1000))
    def leave_in_silence(self, which: int) -> None:
        waiting = [caller for caller in self.accepted if not caller.future.done()]
        if waiting:
            waiting[which % len(waiting)].future.cancel()

    @rule()
    def unload(self) -> None:
        self.queue.fail_all(ModelNotReady("unloaded"))
        assert self.queue.rows == 0

    @invariant()
    def no_more_rows_wait_than_allowed(self) -> None:
        assert 0 <= self.queue.rows <= MAX_ROWS

    @invariant()
    def nobody_is_answered_with_rows_of_others(self) -> None:
        for caller in self.accepted:
            future = caller.future
            if future.done() and not future.cancelled() and future.exception() is None:
                assert future.result()["y"].tolist() == (caller.inputs["x"] * 10).tolist()

    def teardown(self) -> None:
        self.finish()
        while shares := self.queue.take(self.now):
            assert numbers(shares)
            run(shares)
        assert self.queue.rows == 0
        for caller in self.accepted:
            assert caller.future.done()
            if not caller.future.cancelled():
                assert isinstance(caller.future.exception(), DeadlineExceeded | ModelNotReady | None)
        self.loop.close()


TestQueueLife = QueueLife.TestCase
TestQueueLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
