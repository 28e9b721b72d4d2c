"""A model is batched only where runs of 1 + 2 rows and of 3 rows agree; else the reason is told."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from serving.inference.batchable import made_up_rows, unbatched_reason
from serving.inference.session import OnnxSession, SessionSettings
from tests import tiny_models as tiny


def opened(model: bytes) -> OnnxSession:
    return OnnxSession.open(model, SessionSettings(intra_op_threads=1))


def dynamic_width_model() -> bytes:
    """`x` [rows, any] → `y`, equal."""
    return tiny.identity_model(shape=(None, None))


def square_model() -> bytes:
    """`a`, `b` [rows, 2] → `y` [rows, any] = a times b transposed: its width is the number of rows."""
    return tiny.model_bytes(
        [helper.make_node("Transpose", ["b"], ["turned"]), helper.make_node("MatMul", ["a", "turned"], ["y"])],
        [tiny.value("a", [None, 2]), tiny.value("b", [None, 2])],
        [tiny.value("y", [None, None])],
    )


def running_sum_model() -> bytes:
    """`x` [rows, 2] → `y` [rows, 2]: each row the sum of all up to it, so that a first row shows nothing."""
    return tiny.model_bytes(
        [helper.make_node("CumSum", ["x", "axis"], ["y"])],
        [tiny.value("x", [None, 2])],
        [tiny.value("y", [None, 2])],
        {"axis": np.array(0, np.int64)},
    )


def dynamically_quantized_model() -> bytes:
    """`x` [rows, 300] → `y` [rows, 1], by integers whose scale is taken from all rows of a run."""
    weights = np.random.default_rng(1).integers(-99, 99, (300, 1)).astype(np.int8)
    return tiny.model_bytes(
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["quantized", "scale", "zero"]),
            helper.make_node("MatMulInteger", ["quantized", "weights", "zero"], ["sum"]),
            helper.make_node("Cast", ["sum"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "scale"], ["y"]),
        ],
        [tiny.value("x", [None, 300])],
        [tiny.value("y", [None, 1])],
        {"weights": weights},
    )


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(tiny.linear_model(), id="rows stay rows"),
        pytest.param(tiny.two_outputs_model(), id="several inputs and outputs"),
        pytest.param(tiny.image_model(), id="images"),
        pytest.param(tiny.gather_model(), id="integers as indices"),
        pytest.param(dynamic_width_model(), id="a free width"),
        pytest.param(tiny.identity_model(TensorProto.STRING), id="strings"),
        pytest.param(tiny.identity_model(TensorProto.BOOL), id="booleans"),
        pytest.param(tiny.identity_model(TensorProto.FLOAT16), id="half precision"),
    ],
)
def test_a_model_of_independent_rows_is_batched(model):
    assert unbatched_reason(opened(model)) == ""


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param(
            dynamically_quantized_model(),
            "output y of a row depends on the rows beside it",
            id="a scale taken from all rows",
        ),
        pytest.param(tiny.fixed_batch_model(1), "axis 0 of x FP32 [1, 2] is not free", id="a fixed batch"),
        pytest.param(tiny.identity_model(shape=()), "axis 0 of x FP32 [] is not free", id="no batch axis"),
        pytest.param(
            tiny.mean_over_rows_model(), "output y of a row depends on the rows beside it", id="a mean over rows"
        ),
        pytest.param(
            tiny.detection_model(), "axis 0 of count INT64 [1] is not free", id="an output without a free axis 0"
        ),
        pytest.param(
            running_sum_model(), "output y of a row depends on the rows beside it", id="a sum over the rows before"
        ),
        pytest.param(square_model(), "output y of a row depends on the rows beside it", id="a width that is the rows"),
    ],
)
def test_a_model_whose_rows_are_not_proved_independent_is_not_batched(model, reason):
    assert unbatched_reason(opened(model)) == reason


def test_other_output_rows_than_input_rows_are_found_by_the_trial_run():
    model = tiny.model_bytes(
        [helper.make_node("NonZero", ["x"], ["indices"]), helper.make_node("Transpose", ["indices"], ["found"])],
        [tiny.value("x", [None, 2])],
        [tiny.value("found", ["n", 2], TensorProto.INT64)],
    )
    assert unbatched_reason(opened(model)) == "output found has other rows than the input"


def test_real_rows_decide_where_there_are_some():
    rows = {"index": np.array([[0], [1], [9]])}
    reason = unbatched_reason(opened(tiny.gather_model()), rows)
    assert reason == "a trial run of 3 rows did not work: the model failed on this input (INVALID_ARGUMENT)"


def test_made_up_rows_fit_the_signature_and_differ_from_each_other():
    signature = opened(tiny.two_outputs_model()).signature
    rows = made_up_rows(signature)
    assert all(spec.admits(rows[spec.name].shape) and rows[spec.name].dtype == spec.dtype for spec in signature.inputs)
    assert len(np.unique(rows["a"], axis=0)) == 3
