"""Requests in TensorFlow Serving's words, and stubs that send them."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from google.protobuf.wrappers_pb2 import Int64Value

from protos.tensorflow_serving import example_pb2, tensor_pb2
from protos.tensorflow_serving.model_pb2 import ModelSpec
from protos.tensorflow_serving.model_service_pb2_grpc import ModelServiceStub
from protos.tensorflow_serving.prediction_service_pb2 import (
    ClassificationRequest,
    ExampleList,
    ExampleListWithContext,
    Input,
    PredictRequest,
)
from protos.tensorflow_serving.prediction_service_pb2_grpc import PredictionServiceStub
from protos.tensorflow_serving.session_service_pb2_grpc import SessionServiceStub
from serving.rpc.tensorflow_serving_codec import shape_of

NUMBERS = {
    "float32": tensor_pb2.DT_FLOAT,
    "float64": tensor_pb2.DT_DOUBLE,
    "int64": tensor_pb2.DT_INT64,
    "uint8": tensor_pb2.DT_UINT8,
}


def stubs(signet: SimpleNamespace) -> SimpleNamespace:
    """.prediction, .models and .sessions of TensorFlow Serving's API."""
    channel = signet.channel
    return SimpleNamespace(
        prediction=PredictionServiceStub(channel),
        models=ModelServiceStub(channel),
        sessions=SessionServiceStub(channel),
    )


def asked(name: str, version: int | None = None, version_label: str = "", signature_name: str = "") -> ModelSpec:
    """Which model is asked for."""
    spec = ModelSpec(name=name, signature_name=signature_name)
    if version is not None:
        spec.version.CopyFrom(Int64Value(value=version))
    if version_label:
        spec.version_label = version_label
    return spec


def content(array: np.ndarray) -> tensor_pb2.TensorProto:
    """A tensor in tensor_content, as TensorFlow's own clients make it of an array."""
    return tensor_pb2.TensorProto(
        dtype=NUMBERS[array.dtype.name], tensor_shape=shape_of(array.shape), tensor_content=array.tobytes()
    )


def letters(rows: Any, **spec: Any) -> PredictRequest:
    """Ask `letters` for the softmax of each row."""
    return PredictRequest(model_spec=asked("letters", **spec), inputs={"x": content(np.array(rows, np.float32))})


def example(**features: Any) -> example_pb2.Example:
    """A tf.Example: of bytes, of floats, or of whole numbers, each one value or a list."""
    made = example_pb2.Example()
    for name, value in features.items():
        values = value if isinstance(value, list) else [value]
        feature = made.features.feature[name.replace("__", "/")]
        if isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return made


def classify(model: str, *examples: example_pb2.Example, **spec: Any) -> ClassificationRequest:
    """Ask `model` for the classes of examples."""
    return ClassificationRequest(
        model_spec=asked(model, **spec), input=Input(example_list=ExampleList(examples=examples))
    )


def classify_in_context(
    model: str, context: example_pb2.Example, *examples: example_pb2.Example
) -> ClassificationRequest:
    """The same for examples that share features."""
    return ClassificationRequest(
        model_spec=asked(model),
        input=Input(example_list_with_context=ExampleListWithContext(examples=examples, context=context)),
    )
