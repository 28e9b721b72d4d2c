"""A run in parts gives what a whole run gives, and ends as one."""

import threading

import numpy as np
import onnx
import pytest
from onnx import helper

from serving.inference.parted import PartedSession
from serving.inference.session import OnnxSession, RunEnd, SessionError, SessionSettings
from serving.inference.signature import Tensors
from tests import tiny_models as tiny

LEAST_ROWS = 16


class CountedSession(OnnxSession):
    """A session that notes the rows and the thread of each run."""

    runs: list[tuple[int, int]]

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        self.runs.append((self.signature.rows(inputs), threading.get_ident()))
        return super().run(inputs, end)


def counted(model: bytes) -> CountedSession:
    session = CountedSession.open(model, SessionSettings(1))
    assert isinstance(session, CountedSession)
    session.runs = []
    return session


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        pytest.param(2 * LEAST_ROWS, [16, 16], id="as many rows as parts need"),
        pytest.param(3 * LEAST_ROWS - 1, [23, 24], id="an odd number of rows"),
        pytest.param(100, [33, 33, 34], id="a part for each thread"),
        pytest.param(2 * LEAST_ROWS - 1, [31], id="too few rows for two parts"),
        pytest.param(0, [0], id="no rows"),
    ],
)
def test_rows_are_parted_among_threads_and_joined_in_order(rows, parts):
    session = counted(tiny.linear_model())
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    outputs = PartedSession(session, 3, LEAST_ROWS).run({"x": x})
    assert sorted(run[0] for run in session.runs) == parts
    assert np.array_equal(outputs["y"], session.run({"x": x})["y"])


def test_parts_run_in_several_threads():
    session = counted(tiny.linear_model())
    parted = PartedSession(session, 2, LEAST_ROWS)
    for _ in range(3):
        parted.run({"x": np.ones((2 * LEAST_ROWS, 3), np.float32)})
    assert len({thread for _, thread in session.runs}) == 2


@pytest.mark.parametrize("faulty", [0, 2 * LEAST_ROWS - 1])
def test_the_error_of_any_part_is_that_of_the_run(faulty):
    index = np.zeros((2 * LEAST_ROWS, 1), np.int64)
    index[faulty] = 99
    with pytest.raises(SessionError, match="the model failed on this input"):
        PartedSession(counted(tiny.gather_model()), 2, LEAST_ROWS).run({"index": index})


def as_wide_as_the_largest_model() -> bytes:
    """`x` [rows, 1] → `y` [rows, the largest x], zeros."""
    return tiny.model_bytes(
        [
            helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
            helper.make_node("Unsqueeze", ["largest", "zero"], ["width"]),
            helper.make_node("Shape", ["x"], ["shape"], end=1),
            helper.make_node("Concat", ["shape", "width"], ["wanted"], axis=0),
            helper.make_node("ConstantOfShape", ["wanted"], ["y"]),
        ],
        [tiny.value("x", [None, 1], onnx.TensorProto.INT64)],
        [tiny.value("y", [None, None])],
        {"zero": np.array([0], np.int64)},
    )


def test_parts_whose_outputs_do_not_fit_together_are_an_error_with_a_text():
    x = np.ones((2 * LEAST_ROWS, 1), np.int64)
    x[0] = 5
    with pytest.raises(SessionError, match="the outputs for parts of these 32 rows differ in shape"):
        PartedSession(counted(as_wide_as_the_largest_model()), 2, LEAST_ROWS).run({"x": x})


def test_an_end_that_was_asked_for_ends_every_part():
    end = RunEnd()
    end.ask()
    parted = PartedSession(counted(tiny.linear_model()), 2, LEAST_ROWS)
    with pytest.raises(SessionError):
        parted.run({"x": np.ones((2 * LEAST_ROWS, 3), np.float32)}, end)
