"""A trained model becomes a model package: written hidden, proven equal, described, published by one rename.

Owns the order of those steps and the arrays golden.npz and evaluation.npz. Does not know how the model was trained, nor
what the report shows.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.equality import prove_equal
from training.manifest_writer import description, read_manifest, write_manifest
from training.onnx_export import write_onnx, write_saved_model
from training.row_choice import spread_rows
from training.signature import signature_of
from training.staging import publish, staging_folder, versions
from training.task import RunRecord, TrainingError
from training.triton_config import write_triton_files

if TYPE_CHECKING:
    import keras

GOLDEN_ROWS = 16
EVALUATION_ROWS = 10_000


def export_package(
    model: "keras.Model", run: RunRecord, repository: Path, write_report: Callable[[Path], None]
) -> Path:
    """Write the package of `model` as the next version of its task in `repository`; give the version's folder.

    `write_report(folder)` fills the package's report folder, in which equality.json already lies. Raises TrainingError,
    and publishes nothing, if the exported files differ from Keras, the labels from those of the version before, or the
    files cannot be written.
    """
    name = run.task.name
    check_class_indices(repository, name, run.dataset.class_indices)
    signature = signature_of(model, run)
    describes = description(run, signature)
    golden = spread_rows(run.dataset.test.truth, GOLDEN_ROWS)
    model_folder = repository / name
    try:
        with staging_folder(model_folder) as staging:
            write_saved_model(model, signature, staging)
            write_onnx(model, signature, describes, staging / "model.onnx")
            equality = prove_equal(model, run, signature, staging)
            _write_arrays(run, golden, staging)
            report = staging / "report"
            report.mkdir()
            (report / "equality.json").write_text(json.dumps(equality, indent=2) + "\n", encoding="utf-8")
            write_report(report)
            write_triton_files(model_folder, signature, run.dataset.labels)
            return publish(
                staging,
                model_folder,
                lambda version: write_manifest(staging, version, describes, run.metrics, len(golden)),
            )
    except OSError as error:
        raise TrainingError(f"task {name}: the package could not be written to {repository}: {error}") from error


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


def _write_arrays(run: RunRecord, golden: NDArray[np.intp], folder: Path) -> None:
    taken, given = f"input.{run.task.input_name}", f"output.{run.task.output_name}"
    test = run.dataset.test
    answers: dict[str, Any] = {taken: test.inputs[golden], given: run.scores[golden]}
    np.savez(folder / "golden.npz", **answers)
    evaluation: dict[str, Any] = {taken: test.inputs[:EVALUATION_ROWS], "truth": test.truth[:EVALUATION_ROWS]}
    np.savez_compressed(folder / "evaluation.npz", **evaluation)
