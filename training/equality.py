"""The proof that the exported files answer as Keras does, on real rows.

Owns the comparison, its tolerance, and how an exported file is asked. Does not know how the files were made.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.signature import Signature
from training.task import RunRecord, TrainingError

# Read by onnxruntime when it is imported; from 1.29 on it reports usage unless told not to.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

TOLERANCE = 1e-5
"""Largest allowed absolute difference of a probability."""
ROW_COUNTS = (1, 7, 256)
"""A lone row, an odd few and a full batch: shapes that a wrongly frozen axis would break."""

Forward = Callable[[NDArray[Any]], NDArray[Any]]


def prove_equal(model: keras.Model, run: RunRecord, signature: Signature, folder: Path) -> dict[str, Any]:
    """Compare Keras with the SavedModel and the model.onnx in `folder`, and with the scores of the evaluation.

    Gives the figures of `differences` for the report. Raises TrainingError if one is over the tolerance.
    """
    exported: dict[str, Forward] = {
        "saved_model": saved_model_forward(folder, signature),
        "onnx": onnx_forward(folder / "model.onnx", signature),
        "evaluation": lambda inputs: run.scores[: len(inputs)],
    }
    return differences(f"task {run.task.name}", keras_forward(model), exported, run.dataset.test.inputs, TOLERANCE)


def differences(
    subject: str, original: Forward, exported: Mapping[str, Forward], rows: NDArray[Any], tolerance: float
) -> dict[str, Any]:
    """Compare each of `exported` with `original`, named Keras in errors, on the first 1, 7 and 256 `rows`.

    Gives tolerance, the numbers of rows, and the largest absolute difference by name and number of rows. Raises
    TrainingError if a difference is over the tolerance.
    """
    counts = sorted({min(count, len(rows)) for count in ROW_COUNTS})
    found: dict[str, dict[str, float]] = {name: {} for name in exported}
    for count in counts:
        wanted = original(rows[:count])
        for name, forward in exported.items():
            difference = _difference(name, wanted, forward(rows[:count]))
            if not difference <= tolerance:  # also catches NaN
                raise TrainingError(
                    f"{subject}: {name} differs from Keras by {difference:g} on {count} rows, "
                    f"at most {tolerance:g} is allowed; nothing was published"
                )
            found[name][str(count)] = difference
    return {"tolerance": tolerance, "rows": counts, "max_abs_difference": found}


def keras_forward(model: keras.Model) -> Forward:
    """Ask the Keras model."""
    return lambda rows: keras.ops.convert_to_numpy(model(rows, training=False))


def saved_model_forward(folder: Path, signature: Signature) -> Forward:
    """Ask the SavedModel in `folder`, loaded by TensorFlow."""
    loaded = tf.saved_model.load(str(folder))

    def forward(rows: NDArray[Any]) -> NDArray[Any]:
        # Asked of `loaded` at each call: a signature alone does not keep the variables alive.
        outputs = loaded.signatures["serving_default"](**{signature.input.name: tf.constant(rows)})
        answer: NDArray[Any] = outputs[signature.output.name].numpy()
        return answer

    return forward


def onnx_forward(model: Path | bytes, signature: Signature, *, optimised: bool = True) -> Forward:
    """Ask an ONNX file, or its bytes, through onnxruntime on the CPU; TrainingError if it cannot be loaded.

    Not `optimised`, every node runs as it stands in the graph.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes share no parent but this one
        raise TrainingError(f"onnxruntime cannot load the model: {first_line(error)}") from error

    def forward(rows: NDArray[Any]) -> NDArray[Any]:
        answer: NDArray[Any] = session.run([signature.output.name], {signature.input.name: rows})[0]
        return answer

    return forward


def first_line(error: BaseException) -> str:
    """What the error says in its first line, or its class if it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _difference(name: str, wanted: NDArray[Any], got: NDArray[Any]) -> float:
    if wanted.shape != got.shape:
        raise TrainingError(f"{name} gives outputs of shape {list(got.shape)} where Keras gives {list(wanted.shape)}")
    return float(np.max(np.abs(wanted.astype(np.float64) - got.astype(np.float64))))
