"""Clients of TensorFlow Serving get what they would get there, from the same port."""

import numpy as np
import pytest

from protos.tensorflow_serving import tensor_pb2
from protos.tensorflow_serving.model_service_pb2 import GetModelStatusRequest, ModelVersionStatus
from protos.tensorflow_serving.prediction_service_pb2 import (
    GetModelMetadataRequest,
    PredictRequest,
    SignatureDefMap,
)
from serving.rpc.tensorflow_serving_codec import shape_of
from tests.contract.requests import image_file
from tests.contract.tensorflow_serving_requests import (
    asked,
    classify,
    classify_in_context,
    content,
    example,
    letters,
    stubs,
)


@pytest.fixture
def tfs(signet):
    return stubs(signet)


def scores(response):
    return [{one.label: round(one.score, 4) for one in row.classes} for row in response.result.classifications]


def test_predict_answers_tensors_by_name_in_typed_values(tfs):
    response = tfs.prediction.Predict(letters([[0, 0, 0], [9, 0, 0]]))
    tensor = response.outputs["y"]
    assert [dim.size for dim in tensor.tensor_shape.dim] == [2, 3]
    assert tensor.dtype == tensor_pb2.DT_FLOAT
    assert np.allclose(tensor.float_val, [1 / 3, 1 / 3, 1 / 3, 1, 0, 0], atol=1e-3)


def test_predict_takes_typed_values(tfs):
    tensor = tensor_pb2.TensorProto(dtype=tensor_pb2.DT_FLOAT, tensor_shape=shape_of([1, 3]), float_val=[9, 0, 0])
    response = tfs.prediction.Predict(PredictRequest(model_spec=asked("letters"), inputs={"x": tensor}))
    assert np.argmax(response.outputs["y"].float_val) == 0


def test_predict_says_which_model_version_and_signature_answered(tfs):
    spec = tfs.prediction.Predict(letters([[0, 0, 0]])).model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("letters", 1, "serving_default")


@pytest.mark.parametrize("signature", ["serving_default", "serve"])
def test_predict_knows_both_names_of_keras_for_the_signature(tfs, signature):
    assert tfs.prediction.Predict(letters([[0, 0, 0]], signature_name=signature)).model_spec.signature_name == signature


def test_predict_answers_from_the_version_asked_for(tfs):
    assert tfs.prediction.Predict(letters([[0, 0, 0]], version=1)).model_spec.version.value == 1


def test_predict_takes_and_gives_several_tensors(tfs):
    a, b = np.array([[1, 2]], np.float32), np.array([[10, 20]], np.float32)
    response = tfs.prediction.Predict(
        PredictRequest(model_spec=asked("pairs"), inputs={"a": content(a), "b": content(b)})
    )
    answered = {name: list(tensor.float_val) for name, tensor in response.outputs.items()}
    assert answered == {"sum": [11, 22], "difference": [-9, -18]}


def test_predict_gives_only_the_outputs_asked_for(tfs):
    both = content(np.array([[1, 2]], np.float32))
    request = PredictRequest(model_spec=asked("pairs"), inputs={"a": both, "b": both}, output_filter=["difference"])
    assert list(tfs.prediction.Predict(request).outputs) == ["difference"]


def test_predict_carries_strings(tfs):
    words = tensor_pb2.TensorProto(
        dtype=tensor_pb2.DT_STRING, tensor_shape=shape_of([1, 2]), string_val=["grün".encode(), b"blue"]
    )
    response = tfs.prediction.Predict(PredictRequest(model_spec=asked("text"), inputs={"x": words}))
    assert response.outputs["y"] == words


def test_predict_takes_a_request_of_many_rows(tfs):
    rows = np.arange(500 * 3, dtype=np.float32).reshape(500, 3) % 7
    response = tfs.prediction.Predict(letters(rows))
    answered = np.array(response.outputs["y"].float_val).reshape(500, 3)
    assert (answered.argmax(axis=1) == rows.argmax(axis=1)).all()


def test_classify_gives_every_label_in_the_models_order(tfs):
    response = tfs.prediction.Classify(classify("letters", example(x=[0.0, 0.0, 9.0]), example(x=[9.0, 0.0, 0.0])))
    assert [[one.label for one in row.classes] for row in response.result.classifications] == [["a", "b", "c"]] * 2
    assert [max(row, key=row.__getitem__) for row in scores(response)] == ["c", "a"]
    assert (response.model_spec.name, response.model_spec.version.value) == ("letters", 1)


def test_classify_takes_named_numbers_of_either_kind(tfs):
    response = tfs.prediction.Classify(classify("sums", example(a=1.0, b=-1, c=0.0), example(a=-9.0, b=0, c=0)))
    assert scores(response) == [{"negative": 0.5, "positive": 0.5}, {"negative": 0.9999, "positive": 0.0001}]


def test_classify_takes_the_features_of_a_row_in_one_list_too(tfs):
    assert scores(tfs.prediction.Classify(classify("sums", example(features=[1.0, -1.0, 0.0])))) == [
        {"negative": 0.5, "positive": 0.5}
    ]


def test_classify_gives_examples_what_they_lack_from_their_context(tfs):
    request = classify_in_context("sums", example(b=-1.0, c=5.0), example(a=1.0, c=0.0), example(a=-3.0))
    assert [row["positive"] for row in scores(tfs.prediction.Classify(request))] == [0.5, 0.7311]


@pytest.mark.parametrize("name", ["image__encoded", "image"])
def test_classify_takes_image_files(tfs, name):
    request = classify("shades", *(example(**{name: image_file(grey)}) for grey in (5, 250)))
    assert [max(row, key=row.__getitem__) for row in scores(tfs.prediction.Classify(request))] == ["dark", "bright"]


def test_classify_takes_pixels(tfs):
    request = classify("shades", example(image=[128] * 48))
    assert [max(row, key=row.__getitem__) for row in scores(tfs.prediction.Classify(request))] == ["middle"]


def test_classify_takes_large_image_files(tfs):
    files = [image_file(grey, "BMP", (200, 200)) for grey in (5, 250)]
    request = classify("shades", *(example(image=file) for file in files))
    assert [max(row, key=row.__getitem__) for row in scores(tfs.prediction.Classify(request))] == ["dark", "bright"]


def test_metadata_tells_the_signature_by_each_of_its_names(tfs):
    response = tfs.prediction.GetModelMetadata(
        GetModelMetadataRequest(model_spec=asked("shades"), metadata_field=["signature_def"])
    )
    described = response.metadata["signature_def"]
    assert described.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = SignatureDefMap.FromString(described.value).signature_def
    assert sorted(signatures) == ["serve", "serving_default"]
    signature = signatures["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    assert {
        name: (info.dtype, [dim.size for dim in info.tensor_shape.dim])
        for name, info in [*signature.inputs.items(), *signature.outputs.items()]
    } == {
        "image": (tensor_pb2.DT_UINT8, [-1, 4, 4, 3]),
        "probabilities": (tensor_pb2.DT_FLOAT, [-1, 3]),
    }
    assert (response.model_spec.name, response.model_spec.version.value) == ("shades", 1)


def test_status_tells_that_a_version_is_available(tfs):
    (status,) = tfs.models.GetModelStatus(GetModelStatusRequest(model_spec=asked("letters"))).model_version_status
    assert (status.version, status.state) == (1, ModelVersionStatus.AVAILABLE)
    assert status.HasField("status")
    assert (status.status.error_code, status.status.error_message) == (0, "")


def test_status_tells_why_a_version_is_not(tfs):
    request = GetModelStatusRequest(model_spec=asked("corrupt", 1))
    (status,) = tfs.models.GetModelStatus(request).model_version_status
    assert (status.version, status.state, status.status.error_code) == (1, ModelVersionStatus.END, 9)
    assert "onnxruntime cannot load it" in status.status.error_message
