"""What a report is made of: a run's test scores judged, its rows chosen, and the figures of report.json.

Owns which figures a report tells. Does not know how they are shown.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.class_figures import Findings, findings
from training.frameworks import framework_versions, source_revision
from training.manifest_writer import checksums
from training.model_summary import parameter_counts
from training.row_choice import spread_rows
from training.score_figures import Calibration, Roc, ThresholdFigures, brier, calibration, roc, threshold_table
from training.seed_results import SeedResults, seed_results
from training.task import Rows, RunRecord

if TYPE_CHECKING:
    import keras

SAMPLES = 16
MISTAKES = 25
AUGMENTED = 100
EQUALITY = "equality.json"
"""Left in the folder by the export; a report without an export has none."""
QUANTIZE = "quantize.json"
"""Left in the folder by the quantisation, if one was asked for."""


@dataclass(frozen=True)
class Material:
    """A run and what its test scores come to.

    `curves`: the figures that the history has. `samples` and `mistakes`: test rows. `augmented`: training images as the
    recipe changes them, none if it does not. `roc`, `thresholds` and `brier` are of sigmoid tasks alone.
    """

    run: RunRecord
    judged: Findings
    calibration: Calibration
    roc: Roc | None
    thresholds: list[ThresholdFigures]
    brier: float | None
    curves: list[str]
    samples: NDArray[np.intp]
    mistakes: NDArray[np.intp]
    augmented: NDArray[np.uint8]
    seeds: SeedResults | None

    @property
    def has_pictures(self) -> bool:
        """Whether the task's rows are images."""
        return bool(self.run.task.preprocessing.get("kind") == "image")


def material(run: RunRecord, results: Path) -> Material:
    """Judge the test scores of `run`; `results` is the folder with the committed results of sweeps."""
    truth, decision = run.dataset.test.truth, run.task.decision
    judged = findings(run.scores, truth, run.dataset.labels, decision)
    probability = run.scores[:, 0].astype(np.float64)
    sigmoid = decision["kind"] == "sigmoid"
    return Material(
        run=run,
        judged=judged,
        calibration=calibration(judged.confidence, judged.predicted == truth),
        roc=roc(probability, truth) if sigmoid else None,
        thresholds=threshold_table(probability, truth, decision["threshold"]) if sigmoid else [],
        brier=brier(probability, truth) if sigmoid else None,
        curves=[name for name in ("loss", "accuracy") if run.history.get(name)],
        samples=spread_rows(truth, SAMPLES),
        mistakes=judged.mistakes[:MISTAKES],
        augmented=_augmented(run),
        seeds=seed_results(results, run.task.name, run.recipe.name),
    )


def figures(material: Material, model: "keras.Model", folder: Path) -> dict[str, Any]:
    """The content of report.json; `folder` is the report's, in which the export left the figures of its own."""
    run, judged = material.run, material.judged
    return {
        "task": run.task.name,
        "title": run.task.title,
        "recipe": run.recipe.name,
        "recipe_summary": run.recipe.summary,
        "note": run.task.notes.get(run.recipe.name, ""),
        "command": run.command,
        "seed": run.seed,
        "epochs": run.epochs,
        "batch_rows": run.recipe.batch_rows,
        "compute": run.compute,
        "teacher": dict(run.teacher) or None,
        "started": run.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(run.seconds, 1),
        "frameworks": framework_versions(),
        "source_revision": source_revision(),
        "dataset": _dataset(run),
        "class_indices": dict(run.dataset.class_indices),
        "decision": dict(run.task.decision),
        "correct": judged.correct,
        "total": judged.total,
        "course_figure": run.recipe.course_figure or run.task.course_figure,
        "metrics": {name: float(value) for name, value in run.metrics.items()},
        "history": {name: [float(value) for value in values] for name, values in run.history.items()},
        "confusion": judged.confusion.tolist(),
        "classes": [dataclasses.asdict(of_class) for of_class in judged.classes],
        "calibration": dataclasses.asdict(material.calibration),
        "roc": dataclasses.asdict(material.roc) if material.roc else None,
        "thresholds": [dataclasses.asdict(at_threshold) for at_threshold in material.thresholds],
        "brier": material.brier,
        "seeds": dataclasses.asdict(material.seeds) if material.seeds else None,
        "parameters": parameter_counts(model),
        "equality": _left(folder / EQUALITY),
        "quantize": _left(folder / QUANTIZE),
        "checksums": _package_checksums(folder),
    }


def _augmented(run: RunRecord) -> NDArray[np.uint8]:
    train = run.dataset.train
    if run.recipe.augment is None:
        return np.empty((0, *train.inputs.shape[1:]), dtype=np.uint8)
    chosen = spread_rows(train.truth, AUGMENTED)
    # By class, so that a line of the sheet shows what becomes of one kind of image.
    rows = train.take(chosen[np.argsort(train.truth[chosen], kind="stable")])
    return run.recipe.augment(rows.inputs, np.random.default_rng(run.seed))


def _dataset(run: RunRecord) -> dict[str, Any]:
    splits = {name: getattr(run.dataset, name) for name in ("train", "validation", "test")}
    return {
        "source": run.dataset.source,
        "rows": {name: len(rows) for name, rows in splits.items()},
        "sha256": {name: _digest(rows) for name, rows in splits.items() if len(rows)},
    }


def _digest(rows: Rows) -> str:
    """SHA-256 of the inputs as they lie in memory, row after row, then of the class indices as little-endian int64."""
    digest = hashlib.sha256(np.ascontiguousarray(rows.inputs).data)
    digest.update(np.ascontiguousarray(rows.truth, dtype="<i8").data)
    return digest.hexdigest()


def _left(path: Path) -> Mapping[str, Any] | None:
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else None


def _package_checksums(folder: Path) -> dict[str, str]:
    """The files of the package around `folder`, whose own files are not yet all there; none if there is no package."""
    if not (folder.parent / "model.onnx").is_file():
        return {}
    inside = f"{folder.name}/"
    return {name: digest for name, digest in checksums(folder.parent).items() if not name.startswith(inside)}
