"""A served version answers until it is closed, and then lets go of what it held."""

import asyncio
import threading

import numpy as np
import pytest

from serving.errors import ModelNotReady
from serving.inference.session import SessionSettings
from serving.metrics import Metrics
from serving.repository.loading import Loader, LoadSettings
from serving.repository.served_model import ServedModel
from tests import tiny_models as tiny

FOREVER = float("inf")
ROWS = {"x": np.eye(3, dtype=np.float32)}


@pytest.fixture
def letters(tmp_path) -> ServedModel:
    folder = tiny.put_bare(tmp_path, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    settings = LoadSettings(SessionSettings(intra_op_threads=1), max_batch_rows=2, queue_rows=100)
    return Loader(settings, Metrics()).load(folder, "letters", 1)


async def test_it_answers_by_output_name(letters):
    outputs = await letters.predict(ROWS, FOREVER)
    assert outputs["y"].argmax(axis=1).tolist() == [0, 1, 2]
    await letters.close(0)


async def test_a_model_of_short_runs_needs_no_thread(letters):
    others = set(threading.enumerate())
    await letters.predict(ROWS, FOREVER)
    assert letters.inline
    assert set(threading.enumerate()) == others
    await letters.close(0)


async def test_its_signature_is_the_sessions(letters):
    assert [str(spec) for spec in letters.signature.inputs] == ["x FP32 [-1, 3]"]
    await letters.close(0)


async def test_closing_answers_those_who_wait_and_refuses_those_who_come(letters):
    waiting = asyncio.ensure_future(letters.predict(ROWS, FOREVER))
    await asyncio.sleep(0)
    await letters.close(5.0)
    assert len((await waiting)["y"]) == 3
    with pytest.raises(ModelNotReady, match="this version is being unloaded"):
        await letters.predict(ROWS, FOREVER)


async def test_closing_ends_its_thread(tmp_path):
    settings = LoadSettings(SessionSettings(intra_op_threads=1), max_batch_rows=2, queue_rows=100)
    slow = Loader(settings, Metrics()).load(tiny.put_bare(tmp_path, "slow", tiny.slow_model()), "slow", 1)
    others = set(threading.enumerate())
    await slow.predict({"x": np.ones((1, 2), np.float32)}, FOREVER)
    threads = [one for one in threading.enumerate() if one not in others and one.name.startswith("run-slow-1")]
    assert len(threads) == 1
    await slow.close(5.0)
    await asyncio.to_thread(threads[0].join, 5.0)
    assert not threads[0].is_alive()
