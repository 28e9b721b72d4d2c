"""A trained model becomes a model package: written hidden, proven equal, described, published by one rename.

Owns the order of those steps and the arrays golden.npz and evaluation.npz. Does not know how the model was trained, nor
what the report shows.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from training.equality import prove_equal
from training.manifest_writer import GOLDEN_TOLERANCE, Statement, description, read_manifest, write_manifest
from training.onnx_export import keras_graph, save_checked, write_onnx, write_saved_model
from training.quantize import TOLERANCE, Quantized, quantize
from training.row_choice import spread_rows
from training.signature import Signature, signature_of
from training.staging import disk_errors_named, publish, staging_folder, versions, writing
from training.task import RunRecord, TrainingError
from training.triton_config import write_triton_files

if TYPE_CHECKING:
    import keras

GOLDEN_ROWS = 16
EVALUATION_ROWS = 10_000

WriteReport = Callable[[RunRecord, Path], None]
"""Fills a package's report folder by what the run came to; equality.json and quantize.json may lie in it."""


def export_package(
    model: "keras.Model",
    run: RunRecord,
    repository: Path,
    write_report: WriteReport,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Write the package of `model` as the next version of its task in `repository`; give the newest version's folder.

    With `tell`, the model is quantised too: the INT8 package is the version after, if it passes its gate; either way
    `tell` gets a sentence, and report/quantize.json the figures. Raises TrainingError, and publishes nothing, if the
    exported files differ from Keras, the labels from those of the version before, or the files cannot be written.
    """
    name = run.task.name
    check_class_indices(repository, name, run.dataset.class_indices)
    signature = signature_of(model, run)
    golden = spread_rows(run.dataset.test.truth, GOLDEN_ROWS)
    with disk_errors_named(name, repository):
        with staging_folder(repository / name) as staging:
            write_saved_model(model, signature, staging)
            write_onnx(keras_graph(model), signature, description(run, signature), staging / "model.onnx")
            proofs = {"equality": prove_equal(model, run, signature, staging)}
            quantized = quantize(staging / "model.onnx", run, signature, golden) if tell else None
            if quantized:
                proofs["quantize"] = quantized.figures
            _write_report(staging, run, proofs, write_report)
            folder = _publish(staging, repository, run, signature, golden, GOLDEN_TOLERANCE)
        if quantized and tell:
            tell(quantized.sentence)
            if quantized.passed:
                return _publish_int8(quantized, run, signature, golden, repository, write_report)
    return folder


def check_repository(repository: Path, name: str, class_indices: Mapping[str, int]) -> None:
    """Raise TrainingError, before hours of training, if no package of `name` could be published in `repository`."""
    check_class_indices(repository, name, class_indices)
    with disk_errors_named(name, repository), staging_folder(repository / name):
        pass


def check_class_indices(repository: Path, name: str, class_indices: Mapping[str, int]) -> None:
    """Raise TrainingError if the newest version of `name` has other labels: no server would serve the two in turn."""
    model_folder = repository / name
    for version in reversed(versions(model_folder)):
        manifest = read_manifest(model_folder / str(version))
        if manifest is None or "class_indices" not in manifest:
            continue
        if manifest["class_indices"] != dict(class_indices):
            raise TrainingError(
                f"task {name}: this data gives class_indices {dict(class_indices)}, but version {version} in "
                f"{repository} has {manifest['class_indices']}; labels never change between versions: use another --out"
            )
        return


def _publish_int8(
    quantized: Quantized,
    run: RunRecord,
    signature: Signature,
    golden: NDArray[np.intp],
    repository: Path,
    write_report: WriteReport,
) -> Path:
    """Publish the INT8 package: no SavedModel, which would be fp32, and golden outputs of its own ONNX file."""
    recipe = dataclasses.replace(run.recipe, name=f"{run.recipe.name}-int8", summary=f"{run.recipe.summary}; in INT8")
    kept = {name: value for name, value in run.metrics.items() if name == "rows"}
    accuracies = {name: quantized.figures[f"{name}_accuracy"] for name in ("int8", "fp32")}
    metrics = {"accuracy": accuracies["int8"], "fp32_accuracy": accuracies["fp32"], **kept}
    int8 = dataclasses.replace(run, recipe=recipe, metrics=metrics, scores=quantized.scores)
    with staging_folder(repository / run.task.name) as staging:
        model = onnx.load_from_string(quantized.model)
        save_checked(model, description(int8, signature), staging / "model.onnx")
        _write_report(staging, int8, {"quantize": quantized.figures}, write_report)
        tolerance = dict.fromkeys(GOLDEN_TOLERANCE, TOLERANCE)
        return _publish(staging, repository, int8, signature, golden, tolerance)


def _publish(
    staging: Path,
    repository: Path,
    run: RunRecord,
    signature: Signature,
    golden: NDArray[np.intp],
    tolerance: Mapping[str, float],
) -> Path:
    model_folder = repository / run.task.name
    _write_arrays(run, golden, staging)
    write_triton_files(model_folder, signature, run.dataset.labels)
    says = Statement(run.task.name, description(run, signature), run.metrics, len(golden), tolerance)
    return publish(staging, model_folder, lambda version: write_manifest(staging, version, says))


def _write_report(
    staging: Path, run: RunRecord, proofs: Mapping[str, Mapping[str, Any]], write_report: WriteReport
) -> None:
    report = staging / "report"
    report.mkdir()
    for name, figures in proofs.items():
        with writing(report / f"{name}.json") as path:
            path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    with writing(report):
        write_report(run, report)


def _write_arrays(run: RunRecord, golden: NDArray[np.intp], folder: Path) -> None:
    taken, given = f"input.{run.task.input_name}", f"output.{run.task.output_name}"
    test = run.dataset.test
    answers: dict[str, Any] = {taken: test.inputs[golden], given: run.scores[golden]}
    with writing(folder / "golden.npz") as path:
        np.savez(path, **answers)
    evaluation: dict[str, Any] = {taken: test.inputs[:EVALUATION_ROWS], "truth": test.truth[:EVALUATION_ROWS]}
    with writing(folder / "evaluation.npz") as path:
        np.savez_compressed(path, **evaluation)
