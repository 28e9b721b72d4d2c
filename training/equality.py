"""The proof that the exported files answer as Keras does, on real test rows.

Owns the comparison and its tolerance. Does not know how the files were made.
"""

import os
from collections.abc import Callable
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

    Gives the figures for the report: tolerance, and the largest absolute difference by file and number of rows.
    Raises TrainingError if a difference is over the tolerance.
    """
    rows = run.dataset.test.inputs
    counts = sorted({min(count, len(rows)) for count in ROW_COUNTS})
    exported: dict[str, Forward] = {
        "saved_model": _saved_model(folder, signature),
        "onnx": _onnx(folder / "model.onnx", signature),
        "evaluation": lambda inputs: run.scores[: len(inputs)],
    }
    differences: dict[str, dict[str, float]] = {name: {} for name in exported}
    for count in counts:
        wanted = keras.ops.convert_to_numpy(model(rows[:count], training=False))
        for name, forward in exported.items():
            differences[name][str(count)] = _difference(name, wanted, forward(rows[:count]))
    for name, by_rows in differences.items():
        for count_text, difference in by_rows.items():
            if not difference <= TOLERANCE:  # also catches NaN
                raise TrainingError(
                    f"task {run.task.name}: {name} differs from Keras by {difference:g} on {count_text} test rows, "
                    f"at most {TOLERANCE:g} is allowed; nothing was published"
                )
    return {"tolerance": TOLERANCE, "rows": counts, "max_abs_difference": differences}


def _difference(name: str, wanted: NDArray[Any], got: NDArray[Any]) -> float:
    if wanted.shape != got.shape:
        raise TrainingError(f"{name} gives outputs of shape {list(got.shape)} where Keras gives {list(wanted.shape)}")
    return float(np.max(np.abs(wanted.astype(np.float64) - got.astype(np.float64))))


def _saved_model(folder: Path, signature: Signature) -> Forward:
    loaded = tf.saved_model.load(str(folder))

    def forward(rows: NDArray[Any]) -> NDArray[Any]:
        # Asked of `loaded` at each call: a signature alone does not keep the variables alive.
        outputs = loaded.signatures["serving_default"](**{signature.input.name: tf.constant(rows)})
        answer: NDArray[Any] = outputs[signature.output.name].numpy()
        return answer

    return forward


def _onnx(path: Path, signature: Signature) -> Forward:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def forward(rows: NDArray[Any]) -> NDArray[Any]:
        answer: NDArray[Any] = session.run([signature.output.name], {signature.input.name: rows})[0]
        return answer

    return forward
