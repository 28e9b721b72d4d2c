"""Runs go on in several lanes at once, and every caller still gets its own answer."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from serving.inference.batcher import Batcher
from serving.inference.row_queue import RowQueue
from serving.inference.session import OnnxSession, SessionSettings
from serving.metrics import Metrics
from tests import tiny_models as tiny

CALLERS = 16


@pytest.fixture
def three_lanes() -> Iterator[list[ThreadPoolExecutor]]:
    with ExitStack() as stack:
        yield [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(3)]


@pytest.mark.parametrize("thread_rows", [1, 6])
async def test_many_callers_of_several_lanes_get_their_own_answers_whoever_of_them_leaves(three_lanes, thread_rows):
    session = OnnxSession.open(tiny.linear_model(), SessionSettings(intra_op_threads=1))
    queue = RowQueue(8, 10_000, batched=True, lanes=3)
    batcher = Batcher(session, queue, three_lanes, Metrics().queue("tiny", "1"), thread_rows=thread_rows)

    async def call(caller: int) -> bool:
        """Whether the answer was there before the caller left; each makes 20 requests of its own."""
        for number in range(20):
            x = np.full(((caller + number) % 12 + 1, 3), caller * 100 + number, np.float32)
            patience = 1e-4 if number % 5 == 4 else 60.0
            try:
                answer = await asyncio.wait_for(batcher.run({"x": x}), patience)
            except TimeoutError:
                continue
            np.testing.assert_allclose(answer["y"], session.run({"x": x})["y"], rtol=1e-6)
        return True

    assert all(await asyncio.wait_for(asyncio.gather(*map(call, range(CALLERS))), 60))
    await batcher.close(20)
    assert queue.callers == 0


async def test_a_run_that_nobody_waits_for_ends_in_all_lanes_and_who_waits_behind_it_has_its_turn(three_lanes):
    session = OnnxSession.open(tiny.slow_model(), SessionSettings(intra_op_threads=1))
    queue = RowQueue(64, 1000, batched=True, lanes=2)
    batcher = Batcher(session, queue, three_lanes[:2], Metrics().queue("slow", "1"))
    leaving, staying = (asyncio.create_task(batcher.run({"x": np.ones((count, 2), np.float32)})) for count in (64, 1))
    # Both have their turn: the rows are running, and queued.
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying)["y"].shape == (1, 1)
    assert (await batcher.run({"x": np.ones((1, 2), np.float32)}))["y"].shape == (1, 1)
    assert batcher.statistics.rows == 2
