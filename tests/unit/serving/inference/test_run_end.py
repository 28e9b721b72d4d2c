"""A run ends when nobody waits for it any more, and how long runs take decides who is refused at the door."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from serving.errors import DeadlineExceeded, Overloaded
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
            batcher=Batcher(session, queue, [executor], metrics.queue("slow", "1")),
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
    fails = False

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        if self.fails:
            raise SessionError("the model failed on this input")
        self.now += self.row_seconds * len(inputs["x"])
        return super().run(inputs, end)


@pytest.fixture
def costly() -> SimpleNamespace:
    """A batcher on an executor and a clock that the test drives: .ask(rows, patience), .answer(), .session."""
    session = CostlySession(OnnxSession.open(tiny.linear_model(), SETTINGS))
    executor = StepExecutor()
    queue = RowQueue(4, 1000, batched=True)
    batcher = Batcher(session, queue, [executor], Metrics().queue("tiny", "1"), lambda: session.now)

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
    outcomes = await costly.answer(costly.ask(1, 1e9), costly.ask(4, 1e9), costly.ask(2, 9.5), costly.ask(2, 11.0))
    assert [type(outcome) for outcome in outcomes] == [dict, dict, Overloaded, dict]
    assert "4 rows are waiting, so that these would be answered in 7.000 s; the deadline, in 9.500 s" in str(
        outcomes[2]
    )


async def test_the_first_run_of_a_model_is_no_reason_to_refuse(costly):
    costly.session.row_seconds = 1000.0
    await costly.answer(costly.ask(1, 1e9))
    costly.session.row_seconds = 1.0
    outcomes = await costly.answer(costly.ask(1, 1e9), costly.ask(1, 5.0), costly.ask(1, 5.0))
    assert [type(outcome) for outcome in outcomes] == [dict] * 3


async def test_one_run_slower_than_the_others_is_not_enough_to_refuse(costly):
    for _ in range(9):
        await costly.answer(costly.ask(1, 1e9))
    costly.session.row_seconds = 20.0
    await costly.answer(costly.ask(1, 1e9))
    costly.session.row_seconds = 1.0
    outcomes = await costly.answer(costly.ask(1, 1e9), costly.ask(1, 20.0), costly.ask(1, 20.0))
    assert [type(outcome) for outcome in outcomes] == [dict] * 3


async def test_a_model_that_was_slow_once_is_not_locked_out_even_if_no_caller_has_the_time_it_took(costly):
    costly.session.row_seconds = 1000.0
    for _ in range(9):
        await costly.answer(costly.ask(1, 1e9))
    costly.session.row_seconds = 1.0
    answered = []
    for _ in range(60):
        outcomes = await costly.answer(*(costly.ask(1, 10.0) for _ in range(3)))
        answered.append(sum(isinstance(outcome, dict) for outcome in outcomes))
    assert answered[0] == 1
    assert answered[-1] == 3


async def test_runs_that_fail_altogether_teach_nothing_of_how_long_runs_take(costly):
    for _ in range(3):
        await costly.answer(costly.ask(1, 1e9))
    costly.session.fails = True
    costly.session.row_seconds = 0.001
    for _ in range(20):
        await costly.answer(costly.ask(1, 1e9))
    costly.session.fails = False
    outcomes = await costly.answer(costly.ask(1, 1e9), costly.ask(4, 1e9), costly.ask(1, 5.0))
    assert [type(outcome) for outcome in outcomes] == [dict, dict, Overloaded]


async def test_a_deadline_that_passes_while_others_run_is_told_then_and_not_when_their_run_ends(costly):
    for _ in range(3):
        await costly.answer(costly.ask(1, 1e9))
    running = costly.ask(1, 1e9)
    await asyncio.sleep(0)
    costly.session.now += 1.0
    late, later = costly.ask(1, 0.01), costly.ask(1, 1e9)
    await asyncio.sleep(0)
    costly.session.now += 0.02
    with pytest.raises(DeadlineExceeded, match=r"the deadline passed after 0\.020 s in the queue"):
        await asyncio.wait_for(late, 30)
    assert not running.done()
    outcomes = await costly.answer(running, later)
    assert [type(outcome) for outcome in outcomes] == [dict, dict]


async def test_a_deadline_that_passes_in_a_run_is_told_then_and_the_run_goes_on_for_the_others(costly):
    late, patient = costly.ask(1, 0.01), costly.ask(1, 1e9)
    await asyncio.sleep(0)
    costly.session.now += 0.02
    with pytest.raises(DeadlineExceeded, match=r"the deadline passed in a run, 0\.020 s after the rows came"):
        await asyncio.wait_for(late, 30)
    assert [type(outcome) for outcome in await costly.answer(patient)] == [dict]


async def test_a_run_ends_when_the_deadline_of_all_in_it_has_passed(slow):
    late = asyncio.ensure_future(slow.batcher.run(slow_rows(MANY_ROWS), time.monotonic() + 0.05))
    with pytest.raises(DeadlineExceeded, match="the deadline passed in a run"):
        await late
    assert (await slow.batcher.run(slow_rows(1)))["y"].shape == (1, 1)
    assert slow.figure("signet_rows_total") == 1
