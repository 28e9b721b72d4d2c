"""The parts of a model package that an evaluation needs.

Owns reading manifest.json, evaluation.npz and report.json of a package's folder. Does not know servers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from serving.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationPackage:
    """A package's test split and what its report says of it.

    `inputs` by name, each with rows on axis 0; `truth` [rows] int64 class indices; `report_right`: how many of them the
    report counts as right.
    """

    model: str
    version: int
    class_indices: dict[str, int]
    inputs: dict[str, NDArray[Any]]
    truth: NDArray[np.int64]
    report_right: int
    report_accuracy: float


def read_package(folder: Path) -> EvaluationPackage:
    """The package in `folder`; raises InvalidInput naming the file and what is wrong with it."""
    manifest = _read_json(folder / "manifest.json")
    arrays = _read_arrays(folder / "evaluation.npz")
    report = folder / "report" / "report.json"
    metrics = _read_json(report).get("metrics")
    accuracy = metrics.get("accuracy") if isinstance(metrics, dict) else None
    if not isinstance(metrics, dict) or not isinstance(accuracy, float | int):
        raise InvalidInput(f"{report}: metrics.accuracy is missing")
    if "truth" not in arrays or len({len(array) for array in arrays.values()}) != 1 or len(arrays["truth"]) == 0:
        raise InvalidInput(f"{folder / 'evaluation.npz'}: truth and input.<name> with as many rows were expected")
    rows = len(arrays["truth"])
    right = round(accuracy * rows)
    # An accuracy kept as float32 is off by less than a thousandth of a row in 10,000.
    if metrics.get("rows", rows) != rows or abs(accuracy * rows - right) > 0.01:  # noqa: PLR2004
        raise InvalidInput(f"{report}: its accuracy {accuracy} was not measured on the {rows} rows of evaluation.npz")
    missing = [name for name in ("model", "version", "class_indices") if name not in manifest]
    if missing:
        raise InvalidInput(f"{folder / 'manifest.json'}: {', '.join(missing)} is missing")
    return EvaluationPackage(
        model=manifest["model"],
        version=manifest["version"],
        class_indices=manifest["class_indices"],
        inputs={name.removeprefix("input."): array for name, array in arrays.items() if name.startswith("input.")},
        truth=arrays["truth"],
        report_right=right,
        report_accuracy=accuracy,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInput(f"{path}: is no JSON: {error}") from error
    if not isinstance(read, dict):
        raise InvalidInput(f"{path}: a {type(read).__name__} came; a JSON object was expected")
    return read


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, BadZipFile, EOFError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path}: is no file of NumPy arrays: {error}") from error
