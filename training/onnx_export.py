"""A Keras model as TensorFlow's SavedModel and as ONNX, with the names that the task gives.

Owns both conversions. Does not know whether they came out equal (training.equality) nor where packages lie.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import onnx
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from training.signature import Signature
from training.task import TrainingError

OPSET = 18
ROWS = "rows"
"""The name of the free axis 0 in the ONNX file."""


def write_saved_model(model: keras.Model, signature: Signature, folder: Path) -> None:
    """Write saved_model.pb, variables/ and fingerprint.pb straight into `folder`, as TensorFlow Serving wants it."""
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", _serving_function(model, signature))
    archive.write_out(str(folder), verbose=False)
    assets = folder / "assets"
    if assets.is_dir() and not any(assets.iterdir()):
        assets.rmdir()


def write_onnx(model: keras.Model, signature: Signature, properties: Mapping[str, Any], path: Path) -> None:
    """Write the model as ONNX, opset 18, `properties` as JSON in its metadata; axis 0 alone is free.

    Raises TrainingError if the graph came out with other names or fails ONNX's checker.
    """
    # Imported late: it configures logging for the whole process when it is imported.
    import tf2onnx  # noqa: PLC0415

    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    function = _frozen_function(model, signature)
    graph, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    names = [tensor.name for tensor in (*graph.graph.input, *graph.graph.output)]
    expected = [signature.input.name, signature.output.name]
    if names != expected:
        raise TrainingError(f"the ONNX graph has the inputs and outputs {names}, expected {expected}")
    for tensor in (*graph.graph.input, *graph.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = ROWS
    for key, value in properties.items():
        graph.metadata_props.add(key=key, value=json.dumps(value))
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise TrainingError(f"the exported ONNX graph is not valid: {error}") from error
    onnx.save_model(graph, path)


def _serving_function(model: keras.Model, signature: Signature) -> Any:  # noqa: ANN401 - TensorFlow has no types
    spec = tf.TensorSpec((None, *signature.input.shape), signature.input.dtype, name=signature.input.name)

    @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator]
    def serve(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {signature.output.name: model(rows, training=False)}

    return serve


def _frozen_function(model: keras.Model, signature: Signature) -> Any:  # noqa: ANN401
    # tf2onnx freezes variables alone: the plain tensors that a Normalization layer keeps would become graph inputs.
    frozen = convert_variables_to_constants_v2(_serving_function(model, signature).get_concrete_function())
    spec = tf.TensorSpec((None, *signature.input.shape), signature.input.dtype, name=signature.input.name)

    @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator]
    def serve(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return {signature.output.name: frozen(rows)[0]}

    return serve
