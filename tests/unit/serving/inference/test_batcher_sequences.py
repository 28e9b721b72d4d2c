"""Whatever callers do and however runs end: every caller of a batcher has one outcome, and it is its own."""

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from serving.errors import DeadlineExceeded, InvalidInput, ModelNotReady, Overloaded
from serving.inference.batcher import Batcher
from serving.inference.row_queue import RowQueue
from serving.inference.session import OnnxSession, SessionSettings
from serving.inference.waiting import LOW, NORMAL
from serving.metrics import Metrics
from tests import tiny_models as tiny
from tests.step_executor import StepExecutor

TABLE = 1000
BAD = TABLE
MAX_BATCH_ROWS = 4
MAX_ROWS = 30


@pytest.fixture(scope="module")
def session() -> OnnxSession:
    """`index` [rows, 1] → `y` = 10 times the index; fails where an index is TABLE."""
    table = np.arange(TABLE, dtype=np.float32) * 10
    model = tiny.model_bytes(
        [helper.make_node("Gather", ["table", "index"], ["y"], axis=0)],
        [tiny.value("index", [None, 1], TensorProto.INT64)],
        [tiny.value("y", [None, 1])],
        {"table": table},
    )
    return OnnxSession.open(model, SessionSettings(intra_op_threads=1))


callers = st.tuples(st.integers(1, 9), st.booleans(), st.sampled_from([NORMAL, LOW]), st.sampled_from([0.5, 2, 1e9]))
"""Rows, whether the model fails on one of them, priority, seconds of patience."""

events = st.lists(
    st.one_of(
        callers,
        st.sampled_from(["second", "turn", "close"]),
        st.tuples(st.sampled_from(["step", "crash", "lose", "kill"]), st.integers(0, 1)),
        st.tuples(st.just("leave"), st.integers(0, 50)),
    ),
    max_size=40,
)


class Life:
    """A batcher on a clock and executors of the test's, and its callers."""

    def __init__(self, session: OnnxSession, lanes: int, thread_rows: int) -> None:
        self.now = 0.0
        self.executors = [StepExecutor() for _ in range(lanes)]
        queue = RowQueue(MAX_BATCH_ROWS, MAX_ROWS, batched=True, lanes=max(1, lanes))
        metrics = Metrics().queue("tiny", "1")
        self.batcher = Batcher(session, queue, self.executors, metrics, lambda: self.now, thread_rows)
        self.asked: list[tuple[np.ndarray, asyncio.Task[Any]]] = []
        self.next_row = 0

    async def happen(self, event: Any) -> None:
        """Let one of `events` happen, and the loop go on for some turns."""
        match event:
            case "second":
                self.now += 1
            case "turn":
                pass
            case "close":
                await self.batcher.close(0)
            case ("step" | "crash" | "lose" | "kill" as what, which):
                for executor in self.executors[which : which + 1]:
                    getattr(executor, what)()
            case ("leave", which):
                if self.asked:
                    self.asked[which % len(self.asked)][1].cancel()
            case (rows, fails, priority, patience):
                index = (self.next_row + np.arange(rows)[:, None]) % TABLE
                self.next_row += rows
                index[rows // 2] = BAD if fails else index[rows // 2]
                call = self.batcher.run({"index": index}, self.now + patience, priority)
                self.asked.append((index, asyncio.ensure_future(call)))
        for _ in range(3):
            await asyncio.sleep(0)

    async def outcomes(self) -> list[tuple[np.ndarray, Any]]:
        """What each caller was given, once all runs have had their turn."""
        for _ in range(len(self.asked) * 9 + 9):
            for lane in range(2):
                await self.happen(("step", lane))
        assert all(task.done() for _, task in self.asked)
        return [(index, (await asyncio.gather(task, return_exceptions=True))[0]) for index, task in self.asked]


places = pytest.mark.parametrize(
    ("lanes", "thread_rows"),
    [
        pytest.param(0, 1, id="on the event loop"),
        pytest.param(1, 1, id="in a thread"),
        pytest.param(2, 1, id="in two threads"),
        pytest.param(2, 3, id="in two threads and, a few rows, on the event loop"),
    ],
)

REASONS = (asyncio.CancelledError, DeadlineExceeded, InvalidInput, MemoryError, ModelNotReady, Overloaded, RuntimeError)


@places
@given(happened=events)
@settings(max_examples=100, deadline=None)
def test_every_caller_has_its_own_rows_or_one_error_whatever_happens(session, lanes, thread_rows, happened):
    async def live() -> None:
        life = Life(session, lanes, thread_rows)
        for event in happened:
            await life.happen(event)
        for index, outcome in await life.outcomes():
            if isinstance(outcome, dict):
                np.testing.assert_array_equal(outcome["y"], index * 10)
            else:
                assert isinstance(outcome, REASONS)
            if BAD in index:
                assert not isinstance(outcome, dict)

    asyncio.run(live())


@places
@given(asked=st.lists(st.tuples(st.integers(1, 2), st.booleans()), min_size=1, max_size=15))
@settings(max_examples=50, deadline=None)
def test_rows_on_which_the_model_fails_never_cost_another_caller_its_answer(session, lanes, thread_rows, asked):
    async def live() -> None:
        life = Life(session, lanes, thread_rows)
        for rows, fails in asked:
            await life.happen((rows, fails, NORMAL, 1e9))
        for index, outcome in await life.outcomes():
            assert isinstance(outcome, InvalidInput if BAD in index else dict)

    asyncio.run(live())
