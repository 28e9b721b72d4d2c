import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from tests.tiny_runs import feature_run, image_run
from training.export import check_class_indices, export_package
from training.row_choice import spread_rows
from training.task import RunRecord, TrainingError


@pytest.fixture(scope="module")
def images() -> tuple[keras.Model, RunRecord]:
    return image_run()


@pytest.fixture(scope="module")
def package(images: tuple[keras.Model, RunRecord], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _export(images, tmp_path_factory.mktemp("repository"))


def _one_line_report(_: RunRecord, folder: Path) -> None:
    (folder / "report.html").write_text("<p>fine</p>")


def _export(trained: tuple[keras.Model, RunRecord], repository: Path) -> Path:
    model, run = trained
    return export_package(model, run, repository, _one_line_report)


def _manifest(package: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((package / "manifest.json").read_text())
    return manifest


def test_the_first_package_of_a_task_is_version_1(package):
    assert (package.parent.name, package.name) == ("dots", "1")


def test_the_version_folder_holds_everything_the_design_names(package):
    names = {path.name for path in package.iterdir()}
    assert names == {
        "manifest.json",
        "model.onnx",
        "saved_model.pb",
        "variables",
        "fingerprint.pb",
        "golden.npz",
        "evaluation.npz",
        "report",
    }


def test_the_manifest_describes_task_and_signature(package):
    manifest = _manifest(package)
    described = {key: manifest[key] for key in ("model", "version", "task", "recipe", "inputs", "outputs", "metrics")}
    assert described == {
        "model": "dots",
        "version": 1,
        "task": "dots",
        "recipe": "tiny",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 6, 6, 1]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}],
        "metrics": {"accuracy": 0.25, "loss": 1.25},
    }


def test_the_manifest_holds_the_checksum_of_every_file_but_itself(package):
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*") if path.is_file()}
    del files["manifest.json"]
    assert _manifest(package)["files"] == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }


def test_the_onnx_file_has_the_tasks_names_and_free_rows_alone(package):
    session = onnxruntime.InferenceSession(package / "model.onnx", providers=["CPUExecutionProvider"])
    tensors = [*session.get_inputs(), *session.get_outputs()]
    assert [(tensor.name, tensor.type, tensor.shape) for tensor in tensors] == [
        ("image", "tensor(uint8)", ["rows", 6, 6, 1]),
        ("probabilities", "tensor(float)", ["rows", 3]),
    ]


def test_the_onnx_file_is_opset_18(package):
    opsets = {entry.domain: entry.version for entry in onnx.load(package / "model.onnx").opset_import}
    assert opsets[""] == 18


def test_the_onnx_metadata_carries_labels_and_signature(package):
    properties = {entry.key: json.loads(entry.value) for entry in onnx.load(package / "model.onnx").metadata_props}
    manifest = _manifest(package)
    assert properties == {
        key: manifest[key]
        for key in ("task", "recipe", "inputs", "outputs", "class_indices", "decision", "preprocessing")
    }


def test_tensorflow_serves_the_version_folder_by_the_tasks_names(package, images):
    _, run = images
    serve = tf.saved_model.load(str(package)).signatures["serving_default"]
    answer = serve(image=tf.constant(run.dataset.test.inputs))["probabilities"].numpy()
    assert np.abs(answer - run.scores).max() < 1e-6


def test_golden_rows_are_test_rows_with_the_outputs_that_keras_gave(package, images):
    _, run = images
    golden = np.load(package / "golden.npz")
    chosen = spread_rows(run.dataset.test.truth, 16)
    assert golden["input.image"].tolist() == run.dataset.test.inputs[chosen].tolist()
    assert golden["output.probabilities"].tolist() == run.scores[chosen].tolist()
    assert _manifest(package)["golden"] == {"rows": 16, "tolerance": {"cpu": 1e-5, "cuda": 1e-3}}


def test_tensorflow_gives_the_golden_outputs_by_each_of_the_signatures(package):
    golden = np.load(package / "golden.npz")
    loaded = tf.saved_model.load(str(package))
    rows = tf.constant(golden["input.image"])
    answers = {name: signature(image=rows)["probabilities"].numpy() for name, signature in loaded.signatures.items()}
    assert sorted(answers) == ["serve", "serving_default"]
    answers["called"] = loaded.serve(rows)["probabilities"].numpy()
    assert all(np.abs(answer - golden["output.probabilities"]).max() < 1e-6 for answer in answers.values())


def test_evaluation_rows_are_the_test_split_with_its_truth(package, images):
    _, run = images
    evaluation = np.load(package / "evaluation.npz")
    assert evaluation["input.image"].tolist() == run.dataset.test.inputs.tolist()
    assert evaluation["truth"].tolist() == run.dataset.test.truth.tolist()


def test_the_report_folder_tells_how_equal_the_files_are(package):
    equality = json.loads((package / "report" / "equality.json").read_text())
    assert equality["rows"] == [1, 7, 30]
    assert set(equality["max_abs_difference"]) == {"saved_model", "onnx", "evaluation"}
    assert max(equality["max_abs_difference"]["onnx"].values()) <= equality["tolerance"]


def test_a_sigmoid_task_exports_its_one_output(tmp_path):
    package = _export(feature_run(), tmp_path)
    manifest = _manifest(package)
    assert manifest["outputs"] == [{"name": "probability", "datatype": "FP32", "shape": [-1, 1]}]
    assert manifest["decision"] == {"kind": "sigmoid", "threshold": 0.5}


def test_the_next_export_is_the_next_version_and_leaves_the_first_alone(package, images):
    before = _manifest(package)
    second = _export(images, package.parent.parent)
    assert (second.name, _manifest(second)["version"]) == ("2", 2)
    assert _manifest(package) == before


def test_a_report_that_fails_leaves_no_version_and_no_staging_folder(images, tmp_path):
    model, run = images

    def failing(_: RunRecord, folder: Path) -> None:
        (folder / "report.html").write_text("half")
        raise RuntimeError("no ink")

    with pytest.raises(RuntimeError, match="no ink"):
        export_package(model, run, tmp_path, failing)
    assert [path.name for path in (tmp_path / "dots").iterdir()] == []


def test_scores_of_other_weights_are_refused_and_nothing_is_published(images, tmp_path):
    model, run = images
    stale = dataclasses.replace(run, scores=run.scores[::-1].copy())
    with pytest.raises(TrainingError, match=r"dots: evaluation differs from Keras by .* at most 1e-05 is allowed"):
        export_package(model, stale, tmp_path, _one_line_report)
    assert list((tmp_path / "dots").iterdir()) == []


def test_scores_that_are_not_numbers_are_refused(images, tmp_path):
    model, run = images
    with pytest.raises(TrainingError, match="evaluation differs from Keras by nan"):
        export_package(
            model, dataclasses.replace(run, scores=np.full_like(run.scores, np.nan)), tmp_path, _one_line_report
        )


def test_other_labels_than_the_version_before_are_refused_by_name(package):
    other = {"circle": 0, "square": 1, "triangle": 2}
    with pytest.raises(TrainingError, match=r"dots: .*'square': 1.*version \d+ in .*'rectangle': 1"):
        _export(image_run(class_indices=other), package.parent.parent)


def test_any_labels_are_fine_where_there_is_no_version_yet(tmp_path):
    check_class_indices(tmp_path / "new", "dots", {"no": 0, "yes": 1})


def test_a_metric_that_is_not_finite_is_named(images, tmp_path):
    model, run = images
    with pytest.raises(TrainingError, match=r"not a finite number in \['loss'\]"):
        export_package(
            model, dataclasses.replace(run, metrics={"accuracy": 1.0, "loss": float("nan")}), tmp_path, _one_line_report
        )


def test_a_task_that_breaks_the_schema_is_named_by_field(images, tmp_path):
    model, run = images
    broken = dataclasses.replace(run, task=dataclasses.replace(run.task, decision={"kind": "coin"}))
    with pytest.raises(TrainingError, match=r"manifest of dots, field \$\.decision"):
        export_package(model, broken, tmp_path, _one_line_report)
    assert not (tmp_path / "dots" / "1").exists()


def test_rows_that_the_model_does_not_take_are_named_with_their_shape(images, tmp_path):
    model, _ = images
    _, run = feature_run()
    with pytest.raises(TrainingError, match=r"test rows are float32 \[4\], but the model takes uint8 \[6, 6, 1\]"):
        export_package(model, run, tmp_path, _one_line_report)


def test_a_repository_that_is_a_file_is_named(images, tmp_path):
    (tmp_path / "models").write_text("")
    with pytest.raises(TrainingError, match=r"dots: the package could not be written to .*models"):
        _export(images, tmp_path / "models")
