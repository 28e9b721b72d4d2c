"""Rows of many callers share runs, and every caller gets its own answer or its own error."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from serving.errors import DeadlineExceeded, InvalidInput, ModelNotReady, Overloaded
from serving.inference.batcher import Batcher
from serving.inference.row_queue import RowQueue
from serving.inference.session import OnnxSession, SessionSettings
from serving.metrics import Metrics
from tests import tiny_models as tiny

CALLERS = 16


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def composed(executor):
    """Makes a batcher around a model: .run, .close, .direct (the session), .runs() and .figure(name) of the metrics."""

    def compose(model: bytes, max_batch_rows: int = 64, queue_rows: int = 1000, *, batched: bool = True):
        session = OnnxSession.open(model, SessionSettings(intra_op_threads=1))
        metrics = Metrics()
        queue = RowQueue(max_batch_rows, queue_rows, batched=batched)
        batcher = Batcher(session, queue, [executor], metrics.queue("tiny", "1"))

        def figure(name: str) -> float:
            return metrics.registry.get_sample_value(name, {"model": "tiny", "version": "1"}) or 0.0

        return SimpleNamespace(
            run=batcher.run,
            close=batcher.close,
            direct=session.run,
            figure=figure,
            runs=lambda: figure("signet_batch_rows_count"),
        )

    return compose


@pytest.fixture
def blocked(executor):
    """Keeps the executor's thread busy until .set(), so that what comes meanwhile queues behind it."""
    gate = threading.Event()
    executor.submit(gate.wait, 30)
    yield gate
    gate.set()


def rows(first: int, count: int, width: int = 3) -> np.ndarray:
    """Rows that no other caller has."""
    return np.random.default_rng(first).random((count, width), np.float32)


async def settled(*calls: Any) -> list[Any]:
    """What each came to: its answer or its error."""
    return await asyncio.gather(*calls, return_exceptions=True)


async def started(*calls: Any) -> list["asyncio.Task[Any]"]:
    """Tasks that have had their turn, so that their rows are queued or running."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0)
    return tasks


async def test_sixteen_callers_of_one_to_four_rows_get_their_own_answers(composed, blocked):
    batcher = composed(tiny.linear_model())
    asked = [rows(caller, caller % 4 + 1) for caller in range(CALLERS)]
    tasks = await started(*(batcher.run({"x": x}) for x in asked))
    blocked.set()
    for x, answer in zip(asked, await asyncio.gather(*tasks), strict=True):
        np.testing.assert_array_equal(answer["y"], batcher.direct({"x": x})["y"])
    assert batcher.runs() == 2
    assert batcher.figure("signet_rows_total") == sum(map(len, asked))


async def test_a_lone_caller_runs_at_once(composed):
    batcher = composed(tiny.linear_model())
    assert (await batcher.run({"x": rows(0, 1)}))["y"].shape == (1, 3)
    assert batcher.runs() == 1


async def test_a_request_larger_than_a_run_is_split_and_put_together_again(composed):
    batcher = composed(tiny.linear_model(), max_batch_rows=4)
    x = rows(0, 11)
    answer = await batcher.run({"x": x})
    np.testing.assert_array_equal(answer["y"], batcher.direct({"x": x})["y"])
    assert batcher.runs() == 3


async def test_split_requests_and_small_ones_do_not_mix_up(composed):
    batcher = composed(tiny.linear_model(), max_batch_rows=4)
    asked = [rows(caller, 1 + caller * 3 % 10) for caller in range(CALLERS)]
    answers = await asyncio.gather(*(batcher.run({"x": x}) for x in asked))
    for x, answer in zip(asked, answers, strict=True):
        np.testing.assert_array_equal(answer["y"], batcher.direct({"x": x})["y"])


async def test_unbatched_a_request_runs_whole_and_alone(composed, blocked):
    batcher = composed(tiny.mean_over_rows_model(), max_batch_rows=2, batched=False)
    asked = [rows(0, 5, 2), rows(1, 3, 2)]
    tasks = await started(*(batcher.run({"x": x}) for x in asked))
    blocked.set()
    for x, answer in zip(asked, await asyncio.gather(*tasks), strict=True):
        np.testing.assert_allclose(answer["y"], x - x.mean(axis=0), atol=1e-6)
    assert batcher.runs() == 2


async def test_rows_on_which_the_model_fails_fail_their_caller_alone(composed, blocked):
    batcher = composed(tiny.gather_model())
    indices = [0, 1, 2, 9, 0, 1, 2]
    tasks = await started(*(batcher.run({"index": np.array([[index]])}) for index in indices))
    blocked.set()
    outcomes = await settled(*tasks)
    for index, outcome in zip(indices, outcomes, strict=True):
        if index == 9:
            assert isinstance(outcome, InvalidInput)
            assert str(outcome) == "the model failed on this input (INVALID_ARGUMENT)"
        else:
            assert outcome["y"].tolist() == [[(index + 1) * 10]]
    assert batcher.figure("signet_split_runs_total") > 0


async def test_rows_of_other_shapes_do_not_share_a_run(composed, blocked):
    batcher = composed(tiny.identity_model(shape=(None, None)))
    asked = [rows(0, 1, 2), rows(1, 1, 3), rows(2, 1, 2)]
    tasks = await started(*(batcher.run({"x": x}) for x in asked))
    blocked.set()
    for x, answer in zip(asked, await asyncio.gather(*tasks), strict=True):
        np.testing.assert_array_equal(answer["y"], x)


async def test_the_order_in_which_a_caller_names_its_inputs_does_not_matter(composed, blocked):
    nodes = [helper.make_node("Identity", ["a"], ["c"]), helper.make_node("Identity", ["b"], ["d"])]
    free: dict[str, list[int | str | None]] = {name: [None, None] for name in "abcd"}
    values = {name: tiny.value(name, shape) for name, shape in free.items()}
    batcher = composed(tiny.model_bytes(nodes, [values["a"], values["b"]], [values["c"], values["d"]]))
    narrow, wide = rows(0, 1, 2), rows(1, 1, 3)
    asked = [{"a": narrow, "b": wide}, {"a": narrow, "b": wide}, {"b": narrow, "a": wide}, {"b": wide, "a": narrow}]
    tasks = await started(*(batcher.run(inputs) for inputs in asked))
    blocked.set()
    for inputs, answer in zip(asked, await asyncio.gather(*tasks), strict=True):
        np.testing.assert_array_equal(answer["c"], inputs["a"])
        np.testing.assert_array_equal(answer["d"], inputs["b"])


def picking_model() -> bytes:
    """`x` [rows, 2] → `y`: the rows that begin with a positive number, so that small made-up rows prove nothing."""
    return tiny.model_bytes(
        [
            helper.make_node("Gather", ["x", "first"], ["column"], axis=1),
            helper.make_node("Greater", ["column", "zero"], ["picked"]),
            helper.make_node("Compress", ["x", "picked"], ["y"], axis=0),
        ],
        [tiny.value("x", [None, 2])],
        [tiny.value("y", ["n", 2])],
        {"first": np.array(0, np.int64), "zero": np.array(0, np.float32)},
    )


async def test_a_model_that_gives_other_rows_than_it_took_never_shifts_the_answers_of_others(composed, blocked):
    batcher = composed(picking_model())
    asked = [np.array([[sign, caller]], np.float32) for caller, sign in enumerate([1, 1, -1, 1])]
    tasks = await started(*(batcher.run({"x": x}) for x in asked))
    blocked.set()
    outcomes = await settled(*tasks)
    assert isinstance(outcomes[2], InvalidInput)
    assert str(outcomes[2]) == "the model gave 0 rows of y for 1 rows of input"
    for index in (0, 1, 3):
        np.testing.assert_array_equal(outcomes[index]["y"], asked[index])


async def test_unbatched_a_model_may_give_other_rows_than_it_took(composed):
    batcher = composed(picking_model(), batched=False)
    answer = await batcher.run({"x": np.array([[1, 0], [-1, 1], [1, 2]], np.float32)})
    assert answer["y"].tolist() == [[1, 0], [1, 2]]


def trimmed_model() -> bytes:
    """`x` [rows, any] → `y`: as many columns as the largest number says, so pieces of one request differ in width."""
    return tiny.model_bytes(
        [
            helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
            helper.make_node("Ceil", ["largest"], ["up"]),
            helper.make_node("Cast", ["up"], ["columns"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["columns", "one"], ["end"]),
            helper.make_node("Slice", ["x", "zero", "end", "one"], ["y"]),
        ],
        [tiny.value("x", [None, None])],
        [tiny.value("y", [None, None])],
        {"zero": np.array([0], np.int64), "one": np.array([1], np.int64)},
    )


async def test_pieces_that_cannot_be_put_together_fail_their_caller_and_the_batcher_goes_on(composed):
    batcher = composed(trimmed_model(), max_batch_rows=1)
    uneven = np.array([[1, 0, 0], [3, 0, 0]], np.float32)
    large, small = await asyncio.wait_for(settled(batcher.run({"x": uneven}), batcher.run({"x": uneven[:1]})), 20)
    assert isinstance(large, InvalidInput)
    assert "the outputs for parts of these 2 rows differ in shape; send fewer rows" in str(large)
    assert small["y"].tolist() == [[1]]


async def test_a_full_queue_refuses_at_the_door(composed, blocked):
    batcher = composed(tiny.linear_model(), max_batch_rows=2, queue_rows=3)
    tasks = await started(batcher.run({"x": rows(0, 2)}), batcher.run({"x": rows(1, 3)}))
    with pytest.raises(Overloaded, match="3 rows are waiting and 1 more would pass the limit of 3"):
        await batcher.run({"x": rows(2, 1)})
    blocked.set()
    await asyncio.gather(*tasks)


async def test_rows_past_their_deadline_are_not_run(composed, blocked):
    batcher = composed(tiny.linear_model())
    tasks = await started(batcher.run({"x": rows(0, 1)}), batcher.run({"x": rows(1, 1)}, deadline=time.monotonic()))
    blocked.set()
    on_time, late = await settled(*tasks)
    assert on_time["y"].shape == (1, 3)
    assert isinstance(late, DeadlineExceeded)
    assert batcher.figure("signet_rows_total") == 1


async def test_rows_of_a_cancelled_caller_are_not_run_and_free_their_room(composed, blocked):
    batcher = composed(tiny.linear_model(), queue_rows=3)
    running, leaving = await started(batcher.run({"x": rows(0, 1)}), batcher.run({"x": rows(1, 3)}))
    leaving.cancel()
    await settled(leaving)
    (staying,) = await started(batcher.run({"x": rows(2, 3)}))
    blocked.set()
    await asyncio.gather(running, staying)
    assert leaving.cancelled()
    assert batcher.figure("signet_rows_total") == 4


async def test_closing_answers_what_waits_and_refuses_what_comes(composed, blocked):
    batcher = composed(tiny.linear_model())
    tasks = await started(batcher.run({"x": rows(0, 1)}), batcher.run({"x": rows(1, 1)}), batcher.close(20))
    with pytest.raises(ModelNotReady, match="this version is being unloaded"):
        await batcher.run({"x": rows(2, 1)})
    for _ in range(10):
        await asyncio.sleep(0)  # turns of the loop: enough for closing to end, if it did not wait
    assert not tasks[2].done()
    blocked.set()
    first, second, _ = await asyncio.gather(*tasks)
    assert first["y"].shape == second["y"].shape == (1, 3)


async def test_closing_fails_those_whose_turn_does_not_come_in_time(composed, blocked):
    batcher = composed(tiny.linear_model())
    running, waiting = await started(batcher.run({"x": rows(0, 1)}), batcher.run({"x": rows(1, 1)}))
    await batcher.close(0)
    with pytest.raises(ModelNotReady, match="unloaded before these rows had their turn"):
        await waiting
    blocked.set()
    assert (await running)["y"].shape == (1, 3)


async def test_closing_an_idle_batcher_is_immediate(composed):
    await composed(tiny.linear_model()).close(0)


async def test_the_rows_that_wait_are_told_as_they_come_and_while_a_run_goes_on(composed, blocked):
    batcher = composed(tiny.linear_model())
    assert batcher.figure("signet_queue_rows") == 0
    calls = await started(*(batcher.run({"x": rows(first, 2)}) for first in range(3)))
    assert batcher.figure("signet_queue_rows") == 4
    blocked.set()
    await asyncio.gather(*calls)
    assert batcher.figure("signet_queue_rows") == 0
