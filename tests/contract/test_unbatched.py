"""Models whose rows cannot share runs answer many callers correctly; requests without rows get one clear error."""

import grpc
import numpy as np
import pytest

from protos.signet.v1.prediction_pb2 import PredictRequest, PredictStreamRequest, Tensor
from tests.contract.requests import array_of, raw_tensor, status_of

CALLERS = 64


def ask_all(signet, model: str, arrays: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The outputs for each array, asked for at once."""
    calls = [
        signet.prediction.Predict.future(PredictRequest(model=model, tensors=[raw_tensor("x", array)]), timeout=60)
        for array in arrays
    ]
    return [{tensor.name: array_of(tensor) for tensor in call.result().outputs} for call in calls]


def test_many_callers_of_a_fixed_batch_axis_get_their_own_answers(signet):
    asked = [np.full((1, 2), caller, np.float32) for caller in range(CALLERS)]
    for rows, outputs in zip(asked, ask_all(signet, "fixed", asked), strict=True):
        np.testing.assert_array_equal(outputs["y"], 2 * rows)


def test_many_callers_of_a_model_without_axes_get_their_own_answers(signet):
    asked = [np.array(caller, np.float32) for caller in range(CALLERS)]
    assert [outputs["y"].tolist() for outputs in ask_all(signet, "scalar", asked)] == list(range(CALLERS))


def test_many_callers_whose_outputs_have_other_rows_than_their_inputs_get_their_own_answers(signet):
    asked = [np.eye(caller % 3 + 1, 2, dtype=np.float32) for caller in range(CALLERS)]
    for rows, outputs in zip(asked, ask_all(signet, "detection", asked), strict=True):
        np.testing.assert_array_equal(outputs["found"], np.argwhere(rows))


NO_ROWS = {
    "a tensor of no rows": (
        PredictRequest(model="letters", tensors=[Tensor(name="x", datatype="FP32", shape=[0, 3])]),
        "input x: 0 rows came; 1 to 500 were expected",
    ),
    "a tensor of no rows for a fixed batch axis": (
        PredictRequest(model="fixed", tensors=[Tensor(name="x", datatype="FP32", shape=[0, 2])]),
        "input x: shape [0, 2] came; [1, 2] was expected",
    ),
    "no images": (
        PredictRequest(model="shades"),
        "no rows came; one of tensors, images, features was expected",
    ),
    "no features": (
        PredictRequest(model="sums"),
        "no rows came; one of tensors, images, features was expected",
    ),
}


@pytest.mark.parametrize("case", NO_ROWS)
def test_a_request_without_rows_gets_one_clear_error_in_a_call_and_in_a_stream(signet, case):
    request, text = NO_ROWS[case]
    assert status_of(signet.prediction.Predict, request, timeout=60) == (grpc.StatusCode.INVALID_ARGUMENT, text)
    answers = list(signet.prediction.PredictStream(iter([PredictStreamRequest(request=request)]), timeout=60))
    assert [(one.error.code, one.error.message) for one in answers] == [
        (grpc.StatusCode.INVALID_ARGUMENT.value[0], text)
    ]
