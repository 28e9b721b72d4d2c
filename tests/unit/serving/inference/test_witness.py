"""A witness is told of each run that its rows are in, and finds there when it was and who shared it."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from serving.inference.batcher import Batcher
from serving.inference.row_queue import RowQueue
from serving.inference.session import OnnxSession, SessionSettings
from serving.inference.waiting import SharedRun
from serving.metrics import Metrics
from tests import tiny_models as tiny
from tests.step_executor import StepExecutor


class Notes:
    """A witness that keeps what it is told."""

    def __init__(self) -> None:
        self.runs: list[SharedRun] = []

    def take_part(self, run: SharedRun) -> None:
        self.runs.append(run)


@pytest.fixture
def stepped() -> SimpleNamespace:
    """A batcher of 4 rows a run, begun with .ask(rows, witness); .step() ends a run, at .now of its clock."""
    driven = SimpleNamespace(now=0.0)
    executor = StepExecutor()
    session = OnnxSession.open(tiny.linear_model(), SessionSettings(intra_op_threads=1))
    batcher = Batcher(
        session, RowQueue(4, 100, batched=True), [executor], Metrics().queue("tiny", "1"), lambda: driven.now
    )

    async def ask(count: int, witness: Notes | None = None) -> "asyncio.Task[dict[str, np.ndarray]]":
        inputs = {"x": np.zeros((count, 3), np.float32)}
        task = asyncio.ensure_future(batcher.run(inputs, witness=witness))
        await asyncio.sleep(0)
        return task

    async def step(now: float) -> None:
        driven.now = now
        executor.step()
        for _ in range(3):
            await asyncio.sleep(0)

    driven.ask, driven.step = ask, step
    return driven


async def test_a_run_has_its_times_and_all_who_share_it(stepped):
    first, second, third = Notes(), Notes(), Notes()
    tasks = [await stepped.ask(1, first)]
    tasks += [await stepped.ask(2, second), await stepped.ask(1), await stepped.ask(1, third)]
    await stepped.step(1.0)
    await stepped.step(3.0)
    await asyncio.gather(*tasks)
    (alone,), (shared,) = first.runs, second.runs
    assert (alone.started, alone.ended, alone.rows, alone.callers) == (0.0, 1.0, 1, 1)
    assert (shared.started, shared.ended, shared.rows, shared.callers) == (1.0, 3.0, 4, 3)
    assert third.runs == [shared]
    assert list(shared.witnesses) == [second, third]


async def test_rows_of_several_runs_are_in_each(stepped):
    notes = Notes()
    task = await stepped.ask(6, notes)
    for now in (1.0, 2.0):
        await stepped.step(now)
    await task
    assert [(run.started, run.ended, run.rows) for run in notes.runs] == [(0.0, 1.0, 4), (1.0, 2.0, 2)]


async def test_a_run_that_goes_on_has_no_end(stepped):
    notes = Notes()
    task = await stepped.ask(1, notes)
    assert [run.ended for run in notes.runs] == [None]
    await stepped.step(1.0)
    await task


async def test_who_leaves_the_queue_takes_part_in_nothing(stepped):
    notes = Notes()
    running, leaving = await stepped.ask(1), await stepped.ask(1, notes)
    leaving.cancel()
    await stepped.step(1.0)
    await running
    assert notes.runs == []
