"""A run ends when nobody waits for it any more, and how long runs take decides who is refused at the door."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from serving.errors import Overloaded
from serving.inference.batcher import Batcher
from serving.inference.row_queue import RowQueue
from serving.inference.session import OnnxSession, RunEnd, Session, SessionError, SessionSettings
from serving.inference.signature import Signature, Tensors
from serving.metrics import Metrics
from tests import tiny_models as tiny
from tests.step_executor import StepExecutor

MANY_ROWS = 64
"""Of `slow_model`: seconds."""

SETTINGS = SessionSettings(intra_op_threads=1)


class AnnouncedSession:
    """A session that says when a run begins."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.began = threading.Event()

    @property
    def signature(self) -> Signature:
        return self._session.signature

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        self.began.set()
        return self._session.run(inputs, end)


def slow_rows(count: int) -> Tensors:
    return {"x": np.ones((count, 2), np.float32)}


@pytest.fixture
def slow() -> Iterator[SimpleNamespace]:
    """A batcher of a slow model in a thread: .batcher, .figure(name) of its metrics, .begun() waits for a run."""
    session = AnnouncedSession(OnnxSession.open(tiny.slow_model(), SETTINGS))
    metrics = Metrics()
    with ThreadPoolExecutor(1) as executor:
        queue = RowQueue(MANY_ROWS, 1000, batched=True)
        yield SimpleNamespace(
            batcher=Batcher(session, queue, executor, metrics.queue("slow", "1")),
            figure=lambda name: metrics.registry.get_sample_value(name, {"model": "slow", "version": "1"}),
            begun=lambda: asyncio.to_thread(session.began.wait, 30),
        )


async def test_a_run_that_nobody_waits_for_ends_and_the_next_callers_are_served(slow):
    leaving = asyncio.ensure_future(slow.batcher.run(slow_rows(MANY_ROWS)))
    await slow.begun()
    staying = asyncio.ensure_future(slow.batcher.run(slow_rows(1)))
    leaving.cancel()
    assert (await staying)["y"].shape == (1, 1)
    assert slow.figure("signet_rows_total") == 1
    assert slow.figure("signet_split_runs_total") == 0


async def test_a_run_goes_on_for_the_last_caller_who_waits_for_it(slow):
    first = asyncio.ensure_future(slow.batcher.run(slow_rows(1)))
    await slow.begun()
    leaving, staying = (asyncio.ensure_future(slow.batcher.run(slow_rows(2))) for _ in range(2))
    await first
    leaving.cancel()
    assert (await staying)["y"].shape == (2, 1)
    assert slow.figure("signet_rows_total") in (3, 5)


def test_a_session_runs_nothing_once_the_end_was_asked_for():
    session = OnnxSession.open(tiny.linear_model(), SETTINGS)
    end = RunEnd()
    end.ask()
    with pytest.raises(SessionError, match="the model failed on this input"):
        session.run({"x": np.zeros((1, 3), np.float32)}, end)
    assert session.run({"x": np.zeros((1, 3), np.float32)})["y"].shape == (1, 3)


class CostlySession(AnnouncedSession):
    """A session whose runs take so many seconds a row of the clock `now`."""

    now = 0.0
    row_seconds = 1.0

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        self.now += self.row_seconds * len(inputs["x"])
        return super().run(inputs, end)


@pytest.fixture
def costly() -> SimpleNamespace:
    """A batcher on an executor and a clock that the test drives: .ask(rows, patience), .answer(), .session."""
    session = CostlySession(OnnxSession.open(tiny.linear_model(), SETTINGS))
    executor = StepExecutor()
    queue = RowQueue(4, 1000, batched=True)
    batcher = Batcher(session, queue, executor, Metrics().queue("tiny", "1"), lambda: session.now)

    def ask(rows: int, patience: float) -> "asyncio.Task[Tensors]":
        inputs = {"x": np.zeros((rows, 3), np.float32)}
        return asyncio.ensure_future(batcher.run(inputs, session.now + patience))

    async def answer(*tasks: "asyncio.Task[Tensors]") -> list[Tensors | BaseException]:
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            executor.step()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return SimpleNamespace(ask=ask, answer=answer, session=session)


async def test_what_the_runs_so_far_show_to_come_too_late_is_refused_at_the_door(costly):
    for _ in range(2):
        await costly.answer(costly.ask(1, 1e9))
    outcomes = await costly.answer(costly.ask(1, 1e9), costly.ask(4, 1e9), costly.ask(2, 5.5), costly.ask(2, 6.5))
    assert [type(outcome) for outcome in outcomes] == [dict, dict, Overloaded, dict]
    assert "4 rows are waiting, which takes at least 6.000 s; the deadline is in 5.500 s" in str(outcomes[2])


async def test_the_first_run_of_a_model_is_no_reason_to_refuse(costly):
    costly.session.row_seconds = 1000.0
    await costly.answer(costly.ask(1, 1e9))
    costly.session.row_seconds = 1.0
    outcomes = await costly.answer(costly.ask(1, 1e9), costly.ask(1, 5.0), costly.ask(1, 5.0))
    assert [type(outcome) for outcome in outcomes] == [dict] * 3


async def test_one_run_faster_than_the_others_is_enough_to_refuse_less(costly):
    costly.session.row_seconds = 1000.0
    for _ in range(9):
        await costly.answer(costly.ask(1, 1e9))
    costly.session.row_seconds = 1.0
    await costly.answer(costly.ask(1, 1e9))
    outcomes = await costly.answer(costly.ask(1, 1e9), costly.ask(1, 5.0), costly.ask(1, 5.0))
    assert [type(outcome) for outcome in outcomes] == [dict] * 3


async def test_one_run_slower_than_the_others_is_not_enough_to_refuse(costly):
    for _ in range(9):
        await costly.answer(costly.ask(1, 1e9))
    costly.session.row_seconds = 20.0
    await costly.answer(costly.ask(1, 1e9))
    costly.session.row_seconds = 1.0
    outcomes = await costly.answer(costly.ask(1, 1e9), costly.ask(1, 5.0), costly.ask(1, 5.0))
    assert [type(outcome) for outcome in outcomes] == [dict] * 3
