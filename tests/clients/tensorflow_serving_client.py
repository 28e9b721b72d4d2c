# requirements: tensorflow-serving-api==2.21.0
"""TensorFlow Serving's own Python stubs, with TensorFlow's own tensors: Predict, Classify, metadata, status, errors."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

SECONDS = 20
CODE = grpc.StatusCode
DTYPES = {
    "bool": tf.bool,
    "uint8": tf.uint8,
    "uint16": tf.uint16,
    "uint32": tf.uint32,
    "uint64": tf.uint64,
    "int8": tf.int8,
    "int16": tf.int16,
    "int32": tf.int32,
    "int64": tf.int64,
    "fp16": tf.float16,
    "bf16": tf.bfloat16,
    "fp32": tf.float32,
    "fp64": tf.float64,
}


def main() -> None:
    """Every check, in turn."""
    with grpc.insecure_channel(sys.argv[1]) as channel:
        predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        check_predict(predictions)
        check_datatypes(predictions)
        check_classify(predictions)
        check_metadata(predictions)
        check_status(models)
        check_errors(predictions, models)


def check_predict(predictions: Any) -> None:
    """Tensors in, tensors out, by name; version, signature and filter."""
    with checking("Predict: labelled model, tensor_content"):
        request = predict("letters", x=np.array([[9, 0, 0], [0, 0, 9]], np.float32))
        request.model_spec.signature_name = "serving_default"
        request.model_spec.version.value = 1
        response = predictions.Predict(request, SECONDS)
        answer = tf.make_ndarray(response.outputs["y"])
        assert answer.argmax(axis=1).tolist() == [0, 2]
        assert np.allclose(answer, tf.nn.softmax([[9.0, 0, 0], [0, 0, 9.0]]), atol=1e-6)
        assert np.allclose(response.outputs["y"].float_val, answer.ravel())
        spec = response.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("letters", 1, "serving_default")
    with checking("Predict: two inputs, output_filter"):
        request = predict("pairs", a=np.array([[1, 2]], np.float32), b=np.array([[10, 20]], np.float32))
        assert sorted(predictions.Predict(request, SECONDS).outputs) == ["difference", "sum"]
        request.output_filter.append("sum")
        response = predictions.Predict(request, SECONDS)
        assert {name: list(one.float_val) for name, one in response.outputs.items()} == {"sum": [11, 22]}
    with checking("Predict: one value fills the shape"):
        request = predict("pairs", a=tf.make_tensor_proto(2.0, shape=[3, 2]), b=tf.make_tensor_proto(1.0, shape=[3, 2]))
        response = predictions.Predict(request, SECONDS)
        assert tf.make_ndarray(response.outputs["sum"]).tolist() == [[3, 3]] * 3
    with checking("Predict: uint8 pixels"):
        response = predictions.Predict(predict("shades", image=np.full((2, 4, 4, 3), 250, np.uint8)), SECONDS)
        assert tf.make_ndarray(response.outputs["probabilities"]).argmax(axis=1).tolist() == [2, 2]
    with checking("Predict.future"):
        calls = [
            predictions.Predict.future(predict("letters", x=np.eye(3, dtype=np.float32)), SECONDS) for _ in range(9)
        ]
        assert all(tf.make_ndarray(call.result().outputs["y"]).argmax(axis=1).tolist() == [0, 1, 2] for call in calls)


def check_datatypes(predictions: Any) -> None:
    """Every datatype there and back, as content and as typed values."""
    for name, dtype in DTYPES.items():
        with checking(f"Predict: {name} unchanged"):
            values = tf.cast(tf.constant([[0, 1], [3, 2]]), dtype)
            made = tf.make_tensor_proto(values)
            empty = {"dtype": made.dtype, "tensor_shape": made.tensor_shape}
            content = type(made)(tensor_content=values.numpy().tobytes(), **empty)
            typed = type(made)(**empty)
            fill(typed, values.numpy())
            for tensor in (made, content, typed):
                response = predictions.Predict(predict(f"identity_{name}", x=tensor), SECONDS)
                answer = response.outputs["y"]
                assert answer.dtype == dtype.as_datatype_enum
                assert tf.make_ndarray(answer).tolist() == values.numpy().tolist()
    with checking("Predict: strings unchanged"):
        tensor = tf.make_tensor_proto([["grün", "b"], ["", "d"]])
        response = predictions.Predict(predict("identity_bytes", x=tensor), SECONDS)
        assert tf.make_ndarray(response.outputs["y"]).tolist() == [["grün".encode(), b"b"], [b"", b"d"]]


def fill(tensor: Any, values: np.ndarray) -> None:
    """Write the values into the list that TensorFlow keeps for their type."""
    flat = values.ravel()
    if tensor.dtype in {tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum}:
        tensor.half_val.extend(flat.view(np.uint16).tolist())
        return
    fields = {
        "b": tensor.bool_val,
        "f4": tensor.float_val,
        "f8": tensor.double_val,
        "i8": tensor.int64_val,
        "u4": tensor.uint32_val,
        "u8": tensor.uint64_val,
    }
    kind = values.dtype.kind
    field = fields.get("b" if kind == "b" else f"{kind}{values.dtype.itemsize}", tensor.int_val)
    field.extend(flat.tolist())


def check_classify(predictions: Any) -> None:
    """tf.Examples in, a score for every label out."""
    with checking("Classify: named numbers"):
        response = predictions.Classify(
            classify("sums", example(a=[1.0], b=[-1.0], c=[0]), example(a=[9.0], b=[0], c=[0.0])), SECONDS
        )
        rows = [[(one.label, one.score) for one in row.classes] for row in response.result.classifications]
        assert [[label for label, _ in row] for row in rows] == [["negative", "positive"]] * 2
        assert abs(rows[0][1][1] - 0.5) < 1e-6
        assert rows[1][1][1] > 0.99
        assert response.model_spec.version.value == 1
    with checking("Classify: a model's input by its name"):
        response = predictions.Classify(classify("letters", example(x=[0.0, 9.0, 0.0])), SECONDS)
        (row,) = response.result.classifications
        assert max(row.classes, key=lambda one: one.score).label == "b"
    with checking("Classify: image files"):
        files = [tf.io.encode_png(np.full((4, 4, 3), grey, np.uint8)).numpy() for grey in (0, 128, 255)]
        request = classify("shades", *(example(**{"image/encoded": [file]}) for file in files))
        rows = predictions.Classify(request, SECONDS).result.classifications
        assert [max(row.classes, key=lambda one: one.score).label for row in rows] == ["dark", "middle", "bright"]
    with checking("Classify: examples with a context"):
        request = classification_pb2.ClassificationRequest()
        request.model_spec.name = "sums"
        both = request.input.example_list_with_context
        both.context.CopyFrom(example(b=[-1.0], c=[0.0]))
        both.examples.append(example(a=[1.0]))
        (row,) = predictions.Classify(request, SECONDS).result.classifications
        assert abs(row.classes[1].score - 0.5) < 1e-6


def check_metadata(predictions: Any) -> None:
    """A signature that TensorFlow's own messages unpack."""
    with checking("GetModelMetadata: signature_def"):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = "shades"
        response = predictions.GetModelMetadata(request, SECONDS)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert response.metadata["signature_def"].Unpack(signatures)
        signature = signatures.signature_def["serving_default"]
        image = signature.inputs["image"]
        assert image.dtype == tf.uint8.as_datatype_enum
        assert tf.TensorShape(image.tensor_shape).as_list() == [None, 4, 4, 3]
        assert tf.TensorShape(signature.outputs["probabilities"].tensor_shape).as_list() == [None, 3]
        assert signature.method_name == tf.saved_model.PREDICT_METHOD_NAME
        assert response.model_spec.version.value == 1


def check_status(models: Any) -> None:
    """The state of each version."""
    with checking("GetModelStatus: AVAILABLE"):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "letters"
        (one,) = models.GetModelStatus(request, SECONDS).model_version_status
        available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
        assert (one.version, one.state, one.status.error_code) == (1, available, 0)


def check_errors(predictions: Any, models: Any) -> None:
    """What is wrong gets a status that says so."""
    row = np.zeros((1, 3), np.float32)
    version, label, signature = (predict("letters", x=row) for _ in range(3))
    version.model_spec.version.value = 7
    label.model_spec.version_label = "nobody"
    signature.model_spec.signature_name = "regress"
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["labels"])
    metadata.model_spec.name = "letters"
    unasked: list[tuple[str, Callable[..., Any], Any, grpc.StatusCode]] = [
        ("unknown model", predictions.Predict, predict("nobody", x=row), CODE.NOT_FOUND),
        ("unknown version", predictions.Predict, version, CODE.NOT_FOUND),
        ("unknown version label", predictions.Predict, label, CODE.NOT_FOUND),
        ("unknown signature", predictions.Predict, signature, CODE.INVALID_ARGUMENT),
        ("unknown input", predictions.Predict, predict("letters", z=row), CODE.INVALID_ARGUMENT),
        ("missing input", predictions.Predict, predict("pairs", a=row[:, :2]), CODE.INVALID_ARGUMENT),
        ("other shape", predictions.Predict, predict("letters", x=row[:, :2]), CODE.INVALID_ARGUMENT),
        ("other dtype", predictions.Predict, predict("letters", x=row.astype(int)), CODE.INVALID_ARGUMENT),
        ("complex numbers", predictions.Predict, predict("letters", x=row + 1j), CODE.INVALID_ARGUMENT),
        ("Classify without labels", predictions.Classify, classify("pairs", example(a=[1.0])), CODE.INVALID_ARGUMENT),
        ("Classify without examples", predictions.Classify, classify("letters"), CODE.INVALID_ARGUMENT),
        ("other metadata", predictions.GetModelMetadata, metadata, CODE.INVALID_ARGUMENT),
        (
            "status of no model",
            models.GetModelStatus,
            get_model_status_pb2.GetModelStatusRequest(),
            CODE.INVALID_ARGUMENT,
        ),
        ("Regress", predictions.Regress, regression_pb2.RegressionRequest(), CODE.UNIMPLEMENTED),
        ("MultiInference", predictions.MultiInference, inference_pb2.MultiInferenceRequest(), CODE.UNIMPLEMENTED),
        (
            "HandleReloadConfigRequest",
            models.HandleReloadConfigRequest,
            model_management_pb2.ReloadConfigRequest(),
            CODE.UNIMPLEMENTED,
        ),
    ]
    for name, call, request, code in unasked:
        with checking(f"{name}: {code.name}"):
            try:
                call(request, SECONDS)
            except grpc.RpcError as error:
                failed: Any = error
                assert failed.code() == code, failed.code()
                assert failed.details(), "no text"
            else:
                raise AssertionError("it was answered")


def predict(model: str, **inputs: Any) -> Any:
    """A PredictRequest, of arrays or of TensorProtos."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value) if isinstance(value, np.ndarray) else value)
    return request


def classify(model: str, *examples: tf.train.Example) -> Any:
    """A ClassificationRequest."""
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = model
    request.input.example_list.examples.extend(examples)
    return request


def example(**features: list[Any]) -> tf.train.Example:
    """A tf.train.Example."""

    def feature(values: list[Any]) -> tf.train.Feature:
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    made = {name: feature(values) for name, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=made))


@contextmanager
def checking(what: str) -> Iterator[None]:
    """Print what was checked; a check that fails ends the script with its trace."""
    yield
    print(f"  {what}")


if __name__ == "__main__":
    main()
