"""A Keras model as TensorFlow's SavedModel and as ONNX, with the names that the task gives.

Owns both conversions. Does not know whether they came out equal (training.equality) nor where packages lie.
"""

import errno
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import onnx
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from training.signature import Signature
from training.staging import writing
from training.task import TrainingError

OPSET = 18
ROWS = "rows"
"""The name of the free axis 0 in the ONNX file."""

Graph = Callable[[Any], Any]
"""Rows as a tensor to the output's tensor."""


def keras_graph(model: keras.Model) -> Graph:
    """What the model does when it is not trained."""
    return lambda rows: model(rows, training=False)


def saved_model_graph(loaded: Any, signature: Signature) -> Graph:  # noqa: ANN401 - TensorFlow has no types
    """What a loaded SavedModel answers for the names of `signature`."""
    serve = loaded.signatures["serving_default"]
    return lambda rows: serve(**{signature.input.name: rows})[signature.output.name]


def write_saved_model(model: keras.Model, signature: Signature, folder: Path) -> None:
    """Write saved_model.pb, variables/ and fingerprint.pb straight into `folder`, as TensorFlow Serving wants it.

    Raises OSError if TensorFlow cannot write them.
    """
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", _serving_function(keras_graph(model), signature))
    try:
        archive.write_out(str(folder), verbose=False)
    except tf.errors.OpError as error:
        # TensorFlow says what it did, the file, a semicolon, the reason, and in brackets the operation.
        file, _, reason = error.message[max(0, error.message.rfind(str(folder))) :].partition("; ")
        raise OSError(errno.EIO, reason.partition(" [")[0] or "TensorFlow cannot write", file) from error
    assets = folder / "assets"
    if assets.is_dir() and not any(assets.iterdir()):
        assets.rmdir()


def write_onnx(graph: Graph, signature: Signature, properties: Mapping[str, Any], path: Path) -> None:
    """Write what `graph` does as ONNX, opset 18, `properties` as JSON in its metadata; axis 0 alone is free.

    Raises TrainingError if it came out with other names or fails ONNX's checker with full shape inference.
    """
    # Imported late: it configures logging for the whole process when it is imported.
    import tf2onnx  # noqa: PLC0415

    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    function = _frozen_function(graph, signature)
    converted, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    names = [tensor.name for tensor in (*converted.graph.input, *converted.graph.output)]
    expected = [signature.input.name, signature.output.name]
    if names != expected:
        raise TrainingError(f"the ONNX graph has the inputs and outputs {names}, expected {expected}")
    for tensor in (*converted.graph.input, *converted.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = ROWS
    save_checked(converted, properties, path)


def save_checked(model: onnx.ModelProto, properties: Mapping[str, Any], path: Path) -> None:
    """Write `model` in one file, `properties` as JSON in its metadata; TrainingError if ONNX's checker refuses it."""
    kept = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, kept | {key: json.dumps(value) for key, value in properties.items()})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise TrainingError(f"the ONNX graph is not valid: {error}") from error
    with writing(path):
        onnx.save_model(model, path)


def _serving_function(graph: Graph, signature: Signature) -> Any:  # noqa: ANN401 - TensorFlow has no types
    spec = tf.TensorSpec((None, *signature.input.shape), signature.input.dtype, name=signature.input.name)

    @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator]
    def serve(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {signature.output.name: graph(rows)}

    return serve


def _frozen_function(graph: Graph, signature: Signature) -> Any:  # noqa: ANN401
    # tf2onnx freezes variables alone: the plain tensors that a Normalization layer keeps would become graph inputs.
    frozen = convert_variables_to_constants_v2(_serving_function(graph, signature).get_concrete_function())
    return _serving_function(lambda rows: frozen(rows)[0], signature)
