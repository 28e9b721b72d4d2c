"""A model that was trained elsewhere: a .keras or .h5 file, a folder with a SavedModel, or an .onnx file.

Owns how each kind is opened and becomes the files of a package. Does not know labels, nor where packages lie.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
from numpy.typing import NDArray

from training.equality import Forward, differences, first_line, keras_forward, onnx_forward, saved_model_forward
from training.onnx_export import keras_graph, save_checked, saved_model_graph, write_onnx, write_saved_model
from training.signature import Signature, TensorSignature, keras_signature, tensor_signature
from training.staging import writing
from training.task import TrainingError

SAVED_MODEL_PARTS = ("saved_model.pb", "fingerprint.pb", "variables", "assets")

Write = Callable[[Path, Mapping[str, Any], NDArray[Any], float], dict[str, Any] | None]


@dataclass(frozen=True)
class ForeignModel:
    """What every kind comes to: its tensors, how it is asked, and how it is written.

    `write(folder, describes, rows, tolerance)` writes model.onnx, and a SavedModel if there is one, and gives the
    figures of their equality on `rows`, None if model.onnx is the model itself.
    """

    signature: Signature
    forward: Forward
    write: Write


def open_model(path: Path) -> ForeignModel:
    """Open the model. Raises TrainingError that names the file, and what of it does not fit a package."""
    if path.suffix == ".onnx" and path.is_file():
        return _open_onnx(path)
    if path.suffix in {".keras", ".h5", ".hdf5"} and path.is_file():
        return _open_keras(path)
    if (path / "saved_model.pb").is_file():
        return _open_saved_model(path)
    came = "there is no such file" if not path.exists() else "it is none of them"
    raise TrainingError(f"{path}: {came}; expected a .keras, .h5 or .onnx file, or a folder with saved_model.pb")


def _open_keras(path: Path) -> ForeignModel:
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise TrainingError(f"{path}: Keras cannot load it: {first_line(error)}") from error
    if not getattr(model, "inputs", None):
        raise TrainingError(
            f"{path}: the model has no input shape; build it, or begin it with keras.Input, and save it"
        )
    taken, given = model.inputs[0].name, model.output_names[0]
    signature = keras_signature(model, str(path), _plain(taken), _plain(given))
    forward = keras_forward(model)

    def write(folder: Path, describes: Mapping[str, Any], rows: NDArray[Any], tolerance: float) -> dict[str, Any]:
        write_saved_model(model, signature, folder)
        write_onnx(keras_graph(model), signature, describes, folder / "model.onnx")
        exported = {
            "saved_model": saved_model_forward(folder, signature),
            "onnx": onnx_forward(folder / "model.onnx", signature),
        }
        return differences(str(path), forward, exported, rows, tolerance)

    return ForeignModel(signature, forward, write)


def _open_saved_model(path: Path) -> ForeignModel:
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise TrainingError(f"{path}: TensorFlow cannot load it: {first_line(error)}") from error
    if "serving_default" not in loaded.signatures:
        raise TrainingError(f"{path}: no signature serving_default; it has {', '.join(loaded.signatures) or 'none'}")
    serve = loaded.signatures["serving_default"]
    signature = Signature(
        _only(path, "input", serve.structured_input_signature[1]), _only(path, "output", serve.structured_outputs)
    )
    forward = saved_model_forward(path, signature)

    def write(folder: Path, describes: Mapping[str, Any], rows: NDArray[Any], tolerance: float) -> dict[str, Any]:
        for part in SAVED_MODEL_PARTS:
            with writing(folder / part) as target:
                if (path / part).is_dir():
                    shutil.copytree(path / part, target)
                elif (path / part).is_file():
                    shutil.copyfile(path / part, target)
        write_onnx(saved_model_graph(loaded, signature), signature, describes, folder / "model.onnx")
        exported = {"onnx": onnx_forward(folder / "model.onnx", signature)}
        return differences(str(path), forward, exported, rows, tolerance)

    return ForeignModel(signature, forward, write)


def _open_onnx(path: Path) -> ForeignModel:
    try:
        model = onnx.load(path)
    except Exception as error:
        raise TrainingError(f"{path}: ONNX cannot read it: {first_line(error)}") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [tensor for tensor in model.graph.input if tensor.name not in weights]
    signature = Signature(_onnx_tensor(path, "inputs", inputs), _onnx_tensor(path, "outputs", list(model.graph.output)))

    def write(folder: Path, describes: Mapping[str, Any], _rows: NDArray[Any], _tolerance: float) -> None:
        save_checked(model, describes, folder / "model.onnx")

    return ForeignModel(signature, onnx_forward(path, signature), write)


def _only(path: Path, kind: str, specs: Mapping[str, Any]) -> TensorSignature:
    if len(specs) != 1:
        raise TrainingError(f"{path}: the model has {len(specs)} {kind}s, expected one")
    name, spec = next(iter(specs.items()))
    if spec.shape.rank is None:
        raise TrainingError(f"{path}: the {kind} {name} has no shape")
    return tensor_signature(name, spec.dtype.name, tuple(spec.shape))


def _onnx_tensor(path: Path, kind: str, tensors: list[onnx.ValueInfoProto]) -> TensorSignature:
    if len(tensors) != 1:
        raise TrainingError(f"{path}: the model has {len(tensors)} {kind} ({_names(tensors)}), expected one")
    tensor = tensors[0]
    if not tensor.type.HasField("tensor_type"):
        raise TrainingError(f"{path}: {tensor.name} among the {kind} is no tensor")
    of = tensor.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else None for size in of.shape.dim)
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(of.elem_type)).name
    return tensor_signature(tensor.name, dtype, shape)


def _names(tensors: list[onnx.ValueInfoProto]) -> str:
    return ", ".join(tensor.name for tensor in tensors)


def _plain(name: str) -> str:
    """The name as TensorFlow takes it for an argument."""
    return re.sub(r"\W", "_", name)
