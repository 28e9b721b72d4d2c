"""A published package that teaches a smaller net by its soft answers.

Owns opening it and what is told of it. Does not know how a net is taught.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.equality import Forward, onnx_forward
from training.manifest_writer import checksums, read_manifest
from training.signature import Signature, tensor_signature
from training.task import Dataset, TrainingError

ANSWERED_ROWS = 256
_DTYPES = {"UINT8": "uint8", "FP32": "float32"}


@dataclass(frozen=True)
class Teacher:
    """An opened package; `told` is what report and results say of it: package, recipe, sha256 of its model.onnx."""

    forward: Forward
    told: dict[str, Any]

    def answers(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Its probabilities for `inputs`, [rows, classes] float32."""
        parts = range(0, len(inputs), ANSWERED_ROWS)
        return np.concatenate([self.forward(inputs[start : start + ANSWERED_ROWS]) for start in parts])


def open_teacher(package: Path, dataset: Dataset) -> Teacher:
    """Open the package in the folder `package` to teach on `dataset`.

    Raises TrainingError naming the folder if it is no whole package, or has other labels or inputs than `dataset`.
    """
    manifest = read_manifest(package)
    model = package / "model.onnx"
    if manifest is None or not model.is_file():
        raise _refused(package, "no package: a folder with manifest.json and model.onnx was expected")
    sha256 = checksums(package)[model.name]
    try:
        signature = Signature(*(_tensor(manifest[side]) for side in ("inputs", "outputs")))
        same_file, labels = manifest["files"][model.name] == sha256, manifest["class_indices"]
        name, recipe = f"{manifest['model']}/{manifest['version']}", manifest["recipe"]
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(package, f"manifest.json has not the expected fields: {error!r}") from error
    if not same_file:
        raise _refused(package, "model.onnx has another checksum than manifest.json states")
    if labels != dict(dataset.class_indices):
        raise _refused(package, f"has class_indices {labels}; {dict(dataset.class_indices)} were expected")
    rows, taken = dataset.train.inputs, signature.input
    if (str(rows.dtype), rows.shape[1:]) != (taken.dtype, taken.shape):
        raise _refused(
            package,
            f"takes {taken.dtype} {list(taken.shape)}; the training rows are {rows.dtype} {list(rows.shape[1:])}",
        )
    if signature.output.shape != (len(labels),):
        raise _refused(package, f"gives {list(signature.output.shape)}; a probability of each label was expected")
    return Teacher(onnx_forward(model, signature), {"package": name, "recipe": recipe, "sha256": sha256})


def _tensor(told: Sequence[dict[str, Any]]) -> Any:  # noqa: ANN401 - a TensorSignature
    (only,) = told
    return tensor_signature(only["name"], _DTYPES[only["datatype"]], (None, *only["shape"][1:]))


def _refused(package: Path, why: str) -> TrainingError:
    return TrainingError(f"--teacher {package}: {why}")
