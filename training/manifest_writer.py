"""manifest.json of a model package: what it says, and that it says so by the schema.

Owns the manifest's content and the checksums. Does not know how the files beside it were made.
"""

import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx

from training.frameworks import framework_versions, source_revision
from training.signature import Signature
from training.staging import writing
from training.task import RunRecord, TrainingError

MANIFEST = "manifest.json"
GOLDEN_TOLERANCE = {"cpu": 1e-5, "cuda": 1e-3}
"""Absolute difference of a probability; CUDA sums in another order (TF32 is off)."""


def description(run: RunRecord, signature: Signature) -> dict[str, Any]:
    """What the package says of itself whatever its version: task, signature, labels, decision, preprocessing."""
    return {
        "task": run.task.name,
        "recipe": run.recipe.name,
        "inputs": [signature.input.as_manifest()],
        "outputs": [signature.output.as_manifest()],
        "class_indices": dict(run.dataset.class_indices),
        "decision": dict(run.task.decision),
        "preprocessing": dict(run.task.preprocessing),
    }


@dataclass(frozen=True)
class Statement:
    """What a manifest says beyond the files: `describes` as description() gives it, and the golden check."""

    model: str
    describes: Mapping[str, Any]
    metrics: Mapping[str, float]
    golden_rows: int
    golden_tolerance: Mapping[str, float] = field(default_factory=lambda: GOLDEN_TOLERANCE)


def write_manifest(folder: Path, version: int, says: Statement) -> None:
    """Write manifest.json for the files that lie in `folder`, which must be all there.

    Raises TrainingError, naming the field, if the manifest would not keep protos/manifest.schema.json.
    """
    manifest: dict[str, Any] = {
        "schema_version": 1,
        "model": says.model,
        "version": version,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "frameworks": framework_versions() | {"onnx_opset": str(_opset(folder / "model.onnx"))},
        **says.describes,
        "metrics": {name: float(value) for name, value in says.metrics.items()},
        "golden": {"rows": says.golden_rows, "tolerance": dict(says.golden_tolerance)},
        "files": checksums(folder),
    }
    revision = source_revision()
    if revision is not None:
        manifest["source_revision"] = revision
    text = _checked_text(manifest)
    with writing(folder / MANIFEST) as path:
        path.write_text(text, encoding="utf-8")


def read_manifest(version_folder: Path) -> dict[str, Any] | None:
    """Read the manifest of a published version; None if there is none that can be read."""
    try:
        manifest = json.loads((version_folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in `folder` but manifest.json, by its path inside the folder with forward slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): _digest(path)
        for path in files
        if path.relative_to(folder) != Path(MANIFEST)
    }


def _opset(model: Path) -> int:
    return next(entry.version for entry in onnx.load(model).opset_import if entry.domain in {"", "ai.onnx"})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked_text(manifest: Mapping[str, Any]) -> str:
    name = manifest["model"]
    try:
        text = json.dumps(manifest, indent=2, allow_nan=False, ensure_ascii=False, default=_plain_number) + "\n"
    except ValueError as error:
        not_finite = [metric for metric, value in manifest["metrics"].items() if not np.isfinite(value)]
        raise TrainingError(f"manifest of {name}: not a finite number in {not_finite or 'the task'}") from error
    schema = json.loads((importlib.resources.files("protos") / "manifest.schema.json").read_text(encoding="utf-8"))
    broken = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(json.loads(text)))
    if broken is not None:
        raise TrainingError(f"manifest of {name}, field {broken.json_path}: {broken.message}")
    return text


def _plain_number(value: Any) -> Any:  # noqa: ANN401 - json.dumps asks for it
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot stand in a manifest")
