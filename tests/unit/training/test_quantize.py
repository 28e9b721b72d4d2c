import asyncio
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

from serving.inference.session import SessionSettings
from serving.metrics import Metrics
from serving.repository.loading import Loader, LoadSettings
from tests.tiny_runs import feature_run, image_run
from training.export import export_package
from training.task import Dataset, Rows, RunRecord


def one_line_report(told: RunRecord, folder: Path) -> None:
    (folder / "report.html").write_text(told.recipe.name)


def brightness_run() -> tuple[keras.Model, RunRecord]:
    """A net that tells 6x6 images of three shades apart by their mean, never near a border."""
    image = keras.Input((6, 6, 1), dtype="uint8", name="image")
    hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    hidden = keras.layers.Dense(4, activation="relu", name="mean")(hidden)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", name="classes")(hidden))
    centers = np.array([0.15, 0.5, 0.85])
    model.get_layer("mean").set_weights([np.full((36, 4), 1 / 36), np.zeros(4)])
    model.get_layer("classes").set_weights([np.tile(25 * centers / 2, (4, 1)), -25 * centers**2])
    truth = np.arange(60, dtype=np.int64) % 3
    noise = np.random.default_rng(0).normal(0, 10, (60, 6, 6, 1))
    pixels = np.clip(255 * centers[truth][:, None, None, None] + noise, 0, 255).astype(np.uint8)
    return model, _with_rows(image_run()[1], model, Rows(pixels, truth))


def lost_run() -> tuple[keras.Model, RunRecord]:
    """A net that decides by a small number beside a large one, whose range leaves the small one no step of INT8."""
    numbers = keras.Input((4,), name="numbers")
    hidden = keras.layers.Dense(3, activation="relu", name="small")(numbers)
    model = keras.Model(numbers, keras.layers.Dense(1, activation="sigmoid", name="decides")(hidden))
    kernel = np.zeros((4, 3))
    kernel[1, 0], kernel[1, 1] = 1, -1
    model.get_layer("small").set_weights([kernel, np.zeros(3)])
    model.get_layer("decides").set_weights([np.array([[9.0], [-9.0], [0.0]]), np.zeros(1)])
    inputs = np.random.default_rng(0).uniform(-1, 1, (40, 4)).astype(np.float32)
    inputs[:, 0] *= 10_000
    return model, _with_rows(feature_run()[1], model, Rows(inputs, (inputs[:, 1] >= 0).astype(np.int64)))


def _with_rows(run: RunRecord, model: keras.Model, rows: Rows) -> RunRecord:
    told = vars(run) | {
        "dataset": Dataset(rows, rows, rows, run.dataset.class_indices, "made for a test"),
        "scores": np.asarray(model(rows.inputs, training=False), np.float32),
        "metrics": {"accuracy": 1.0, "loss": 0.1, "rows": float(len(rows))},
    }
    return RunRecord(**told)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory) -> tuple[Path, list[str]]:
    """The INT8 package of the net of shades, and what was told."""
    model, run = brightness_run()
    told: list[str] = []
    folder = export_package(model, run, tmp_path_factory.mktemp("models"), one_line_report, told.append)
    return folder, told


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def test_the_int8_package_is_the_version_after_the_fp32_one(quantized):
    folder, _ = quantized
    assert folder.name == "2"
    assert [manifest_of(folder.with_name(name))["recipe"] for name in ("1", "2")] == ["tiny", "tiny-int8"]


def test_both_versions_have_the_same_signature_labels_and_decision(quantized):
    folder, _ = quantized
    fp32, int8 = manifest_of(folder.with_name("1")), manifest_of(folder)
    for part in ("inputs", "outputs", "class_indices", "decision", "preprocessing"):
        assert fp32[part] == int8[part]


def test_the_manifest_holds_both_accuracies(quantized):
    folder, _ = quantized
    assert manifest_of(folder)["metrics"] == {"accuracy": 1.0, "fp32_accuracy": 1.0, "rows": 60.0}


def test_the_saved_model_stays_with_the_fp32_package(quantized):
    folder, _ = quantized
    assert "saved_model.pb" in manifest_of(folder.with_name("1"))["files"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "evaluation.npz",
        "golden.npz",
        "manifest.json",
        "model.onnx",
        "report",
    ]


def test_the_report_is_written_anew_for_the_int8_scores(quantized):
    folder, _ = quantized
    assert (folder / "report" / "report.html").read_text() == "tiny-int8"
    assert (folder.with_name("1") / "report" / "report.html").read_text() == "tiny"


def test_quantize_json_tells_accuracy_size_and_speed_in_both_packages(quantized):
    folder, _ = quantized
    told = json.loads((folder / "report" / "quantize.json").read_text())
    assert told == json.loads((folder.with_name("1") / "report" / "quantize.json").read_text())
    assert (told["fp32_accuracy"], told["int8_accuracy"], told["published"]) == (1.0, 1.0, True)
    assert {name: set(rates) for name, rates in told["rows_per_second"].items()} == {
        "fp32": {"1", "64"},
        "int8": {"1", "64"},
    }
    assert min(told["fp32_bytes"], told["int8_bytes"]) > 0


def test_the_sentence_names_both_accuracies_size_and_speed(quantized):
    _, told = quantized
    assert len(told) == 1
    assert told[0].startswith("int8: 100.00% on the test split where fp32 has 100.00%; ")
    assert " times at 1, " in told[0]


def test_pixels_go_in_and_the_last_layer_stays_in_fp32(quantized):
    folder, _ = quantized
    graph = onnx.load(folder / "model.onnx").graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    makers = {output: node for node in graph.node for output in node.output}
    assert makers["probabilities"].op_type == "Softmax"
    scales = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8}
    assert scales
    assert [
        tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT and 3 in tensor.dims
    ]


def test_the_onnx_metadata_is_that_of_the_int8_recipe(quantized):
    folder, _ = quantized
    properties = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert json.loads(properties["recipe"]) == "tiny-int8"
    assert json.loads(properties["class_indices"]) == manifest_of(folder)["class_indices"]


def test_a_server_loads_the_int8_package_and_its_golden_check_passes(quantized):
    folder, _ = quantized
    settings = LoadSettings(SessionSettings(intra_op_threads=1), max_batch_rows=64, queue_rows=256)
    served = Loader(settings, Metrics()).load(folder, "dots", 2)
    assert served.golden is not None
    assert (served.golden.rows, served.golden.tolerance) == (16, 0.05)
    assert served.golden.max_abs_difference < 1e-5
    assert served.unbatched_reason == ""
    asyncio.run(served.close(0))


def test_a_model_that_loses_too_much_is_published_in_fp32_alone_and_told_by_how_much(tmp_path):
    model, run = lost_run()
    told: list[str] = []
    folder = export_package(model, run, tmp_path, one_line_report, told.append)
    assert [path.name for path in (tmp_path / "tides").iterdir() if path.is_dir()] == ["1"] == [folder.name]
    figures = json.loads((folder / "report" / "quantize.json").read_text())
    assert not figures["published"]
    short = 100 * (figures["fp32_accuracy"] - figures["int8_accuracy"]) - 0.2
    assert short > 10
    assert told[0].endswith(f"not published: it fails the gate of 0.2 points by {short:.2f} points")
