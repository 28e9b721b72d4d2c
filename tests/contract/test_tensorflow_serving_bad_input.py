"""Bad input in TensorFlow Serving's words gets the statuses that it gets in ours."""

import grpc
import numpy as np
import pytest

from protos.tensorflow_serving import tensor_pb2
from protos.tensorflow_serving.model_service_pb2 import GetModelStatusRequest, ReloadConfigRequest
from protos.tensorflow_serving.prediction_service_pb2 import (
    ClassificationRequest,
    GetModelMetadataRequest,
    MultiInferenceRequest,
    PredictRequest,
    RegressionRequest,
)
from protos.tensorflow_serving.session_service_pb2 import SessionRunRequest
from serving.rpc.tensorflow_serving_codec import shape_of
from tests.contract.requests import image_file, status_of
from tests.contract.tensorflow_serving_requests import asked, classify, content, example, letters, stubs

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
BROKEN = grpc.StatusCode.FAILED_PRECONDITION
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED
ROW = np.zeros((1, 3), np.float32)
PAIR = content(np.zeros((1, 2), np.float32))


@pytest.fixture
def tfs(signet):
    return stubs(signet)


def predict(model: str = "letters", output_filter: tuple[str, ...] = (), **inputs) -> PredictRequest:
    return PredictRequest(model_spec=asked(model), inputs=inputs, output_filter=output_filter)


PREDICT = {
    "no model named": (PredictRequest(), INVALID, "model: '' is no model name"),
    "unknown model": (predict("nobody"), NOT_FOUND, "no model named nobody"),
    "unknown version": (
        letters(ROW, version=7),
        NOT_FOUND,
        "model letters has no version 7; it has 1",
    ),
    "negative version": (letters(ROW, version=-1), NOT_FOUND, "has no version -1"),
    "unknown label": (letters(ROW, version_label="canary"), NOT_FOUND, "no version label 'canary'"),
    "name that climbs out of the repository": (predict("../letters"), INVALID, "'../letters' is no model name"),
    "model that failed to load": (predict("corrupt"), BROKEN, "model corrupt version 1 failed to load"),
    "unknown signature": (
        letters(ROW, signature_name="classify"),
        INVALID,
        "signature_name: 'classify' came; serving_default or serve was expected",
    ),
    "no inputs": (predict(), INVALID, "inputs: input x is missing; the model takes x FP32 [-1, 3]"),
    "unknown input": (
        predict(x=content(ROW), z=content(ROW)),
        INVALID,
        "inputs: no input is named 'z'; the model takes x FP32 [-1, 3]",
    ),
    "missing input": (predict("pairs", a=PAIR), INVALID, "inputs: input b is missing"),
    "inputs of different rows": (
        predict("pairs", a=PAIR, b=content(np.zeros((2, 2), np.float32))),
        INVALID,
        "the inputs have different numbers of rows: {'a': 1, 'b': 2}",
    ),
    "other datatype": (
        predict(x=content(ROW.astype(np.float64))),
        INVALID,
        "input x: datatype 'FP64' came; FP32 was expected",
    ),
    "other shape": (predict(x=PAIR), INVALID, "input x: shape [1, 2] came; [-1, 3] was expected"),
    "no rows": (predict(x=content(ROW[:0])), INVALID, "input x: 0 rows came; 1 to 500 were expected"),
    "too many rows": (predict(x=content(np.zeros((501, 3), np.float32))), INVALID, "input x: 501 rows came"),
    "too few bytes": (
        predict(
            x=tensor_pb2.TensorProto(dtype=tensor_pb2.DT_FLOAT, tensor_shape=shape_of([1, 3]), tensor_content=b"12")
        ),
        INVALID,
        "input x: 2 bytes came; 12 were expected",
    ),
    "no contents": (
        predict(x=tensor_pb2.TensorProto(dtype=tensor_pb2.DT_FLOAT, tensor_shape=shape_of([1, 3]))),
        INVALID,
        "input x: 0 values came; 3 were expected",
    ),
    "one value for a terabyte": (
        predict(
            "free",
            x=tensor_pb2.TensorProto(
                dtype=tensor_pb2.DT_FLOAT, tensor_shape=shape_of([1, 2**20, 2**20]), float_val=[1]
            ),
        ),
        INVALID,
        "the last one fills up at most",
    ),
    "a feature that is no number": (
        predict("sums", features=content(np.array([[0, np.nan, 0]], np.float32))),
        INVALID,
        "features[0]: b is nan; a finite number was expected",
    ),
    "unknown output": (
        predict(output_filter=("z",), x=content(ROW)),
        INVALID,
        "output_filter: no output is named 'z'; the model gives y",
    ),
    "output asked for twice": (
        predict(output_filter=("y", "y"), x=content(ROW)),
        INVALID,
        "output_filter names an output twice",
    ),
}

CLASSIFY = {
    "no input": (ClassificationRequest(model_spec=asked("letters")), INVALID, "input: 0 examples came; 1 to 500"),
    "no examples": (classify("letters"), INVALID, "input: 0 examples came"),
    "too many examples": (classify("letters", *[example(x=[1.0] * 3)] * 501), INVALID, "input: 501 examples came"),
    "unknown model": (classify("nobody"), NOT_FOUND, "no model named nobody"),
    "unknown label": (classify("letters", version_label="x"), NOT_FOUND, "no version label 'x'"),
    "model without labels": (classify("free"), INVALID, "Classify: model free has no labels; use Predict"),
    "unknown feature": (
        classify("letters", example(x=[1.0] * 3), example(z=1.0)),
        INVALID,
        "examples[1]: z came; the model takes x FP32 [-1, 3]",
    ),
    "example without features": (classify("letters", example()), INVALID, "examples[0]: no feature came"),
    "feature without values": (
        classify("letters", example(x=[1.0])),
        INVALID,
        "examples[0]: feature x: 1 came; 3 values were expected",
    ),
    "feature of another kind": (
        classify("letters", example(x=b"abc")),
        INVALID,
        "examples[0]: feature x: bytes_list came; float_list or int64_list was expected",
    ),
    "missing and unknown numbers": (
        classify("sums", example(a=1.0, b=2.0, d=3.0)),
        INVALID,
        "features[0]: missing c; unknown d; the model takes a, b, c",
    ),
    "two numbers for one feature": (
        classify("sums", example(a=[1.0, 2.0], b=2.0, c=3.0)),
        INVALID,
        "examples[0]: feature a: 2 came; 1 value was expected",
    ),
    "text for a number": (classify("sums", example(a=b"1", b=2.0, c=3.0)), INVALID, "feature a: bytes_list came"),
    "number that is none": (
        classify("sums", example(features=[1.0, float("nan"), 0.0])),
        INVALID,
        "features[0]: b is nan",
    ),
    "broken image": (classify("shades", example(image=b"no image")), INVALID, "images[0]: 8 bytes that are no PNG"),
    "row without its image": (
        classify("shades", example(image=image_file(0)), example(image=[0] * 48)),
        INVALID,
        "examples[1]: an image file in image/encoded or image was expected",
    ),
    "feature beside the image": (
        classify("shades", example(image=image_file(0), size=4)),
        INVALID,
        "examples[0]: image, size came; image alone was expected",
    ),
    "pixels out of range": (classify("shades", example(image=[300] * 48)), INVALID, "UINT8 holds 0 to 255"),
}


@pytest.mark.parametrize("case", PREDICT)
def test_predict_refuses(tfs, case):
    request, code, text = PREDICT[case]
    answered = status_of(tfs.prediction.Predict, request, timeout=10)
    assert answered[0] == code
    assert text in answered[1]


@pytest.mark.parametrize("case", CLASSIFY)
def test_classify_refuses(tfs, case):
    request, code, text = CLASSIFY[case]
    answered = status_of(tfs.prediction.Classify, request, timeout=10)
    assert answered[0] == code
    assert text in answered[1]


@pytest.mark.parametrize(("fields", "came"), [([], "nothing"), (["labels"], "labels"), (["signature_def", "x"], "x")])
def test_metadata_of_another_kind_is_refused(tfs, fields, came):
    request = GetModelMetadataRequest(model_spec=asked("letters"), metadata_field=fields)
    code, text = status_of(tfs.prediction.GetModelMetadata, request)
    assert code == INVALID
    assert f"{came} came; signature_def was expected" in text


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (asked("nobody"), NOT_FOUND),
        (asked("letters", 7), NOT_FOUND),
        (asked("letters", version_label="canary"), NOT_FOUND),
        (None, INVALID),
    ],
    ids=["unknown model", "unknown version", "unknown label", "no name"],
)
def test_status_of_what_is_not_there_is_refused(tfs, spec, code):
    assert status_of(tfs.models.GetModelStatus, GetModelStatusRequest(model_spec=spec))[0] == code


@pytest.mark.parametrize(
    ("service", "method", "request_type", "instead"),
    [
        ("prediction", "Regress", RegressionRequest, "use Predict"),
        ("prediction", "MultiInference", MultiInferenceRequest, "use Classify or Predict once for each task"),
        (
            "models",
            "HandleReloadConfigRequest",
            ReloadConfigRequest,
            "use LoadModel and UnloadModel of signet.v1.Models",
        ),
        ("sessions", "SessionRun", SessionRunRequest, "use Predict of tensorflow.serving.PredictionService"),
    ],
)
def test_what_is_not_offered_says_what_to_use_instead(tfs, service, method, request_type, instead):
    call = getattr(getattr(tfs, service), method)
    assert status_of(call, request_type()) == (UNIMPLEMENTED, f"{method} is not offered; {instead}")


@pytest.mark.parametrize(
    "method",
    [
        "PredictionService/Predict",
        "PredictionService/Classify",
        "PredictionService/GetModelMetadata",
        "PredictionService/Regress",
        "ModelService/GetModelStatus",
    ],
)
def test_bytes_that_are_no_message_are_invalid_argument(signet, method):
    call = signet.channel.unary_unary(f"/tensorflow.serving.{method}")
    code, text = status_of(call, b"\xff\xff\xff", timeout=10)
    assert code == INVALID
    assert text.startswith("the 3 bytes that came are no tensorflow.serving.")
