"""A version's folder becomes a ServedModel that was checked on the way."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import external_data_helper, helper

from serving.errors import ModelBroken
from serving.inference.providers import CPU
from serving.inference.session import OnnxSession, SessionSettings
from serving.metrics import Metrics
from serving.repository.loading import Loader, LoadSettings
from serving.repository.served_model import ServedModel
from tests import tiny_models as tiny

SETTINGS = LoadSettings(SessionSettings(intra_op_threads=1), max_batch_rows=8, queue_rows=100)
FOREVER = float("inf")


def load(folder: Path, metrics: Metrics | None = None) -> ServedModel:
    return Loader(SETTINGS, metrics or Metrics()).load(folder, folder.parent.name, int(folder.name))


def reason(folder: Path) -> str:
    with pytest.raises(ModelBroken) as error:
        load(folder)
    assert str(folder) not in str(error.value)
    assert "/" not in str(error.value).replace("../", "")
    return str(error.value)


def checksums(folder: Path) -> dict[str, str]:
    files: dict[str, str] = json.loads((folder / "manifest.json").read_text())["files"]
    return files


async def test_a_package_is_loaded_and_answers(tmp_path):
    model = load(tiny.put_golden_letters(tmp_path))
    x = np.array([[0, 5, 0]], np.float32)
    assert (await model.predict({"x": x}, FOREVER))["y"].argmax() == 1
    assert (model.name, model.version, model.provider, model.intra_op_threads) == ("letters", 1, CPU, 1)
    assert model.labeller is not None
    assert model.labeller.labels == ("a", "b", "c")
    assert model.load_seconds > 0
    await model.close(0)


def test_a_package_tells_its_golden_result(tmp_path):
    golden = load(tiny.put_golden_letters(tmp_path)).golden
    assert golden is not None
    assert (golden.rows, golden.tolerance) == (4, 1e-5)
    assert golden.max_abs_difference < 1e-6


def test_golden_outputs_within_the_tolerance_pass(tmp_path):
    golden = load(tiny.put_golden_letters(tmp_path, tolerance=1e-2, error=5e-3)).golden
    assert golden is not None
    assert golden.max_abs_difference == pytest.approx(5e-3, rel=0.01)


@pytest.mark.parametrize(
    ("put", "labels"),
    [pytest.param(["a", "b", "c"], ("a", "b", "c"), id="with labels"), pytest.param(None, None, id="without labels")],
)
def test_a_bare_model_is_loaded(tmp_path, put, labels):
    model = load(tiny.put_bare(tmp_path, "letters", tiny.linear_model(), labels=put))
    assert (model.labeller.labels if model.labeller else None) == labels
    assert model.golden is None


def test_how_a_version_was_loaded_is_shown_in_the_metrics(tmp_path):
    metrics = Metrics()
    load(tiny.put_shades(tmp_path), metrics)
    sample = metrics.registry.get_sample_value
    assert sample("signet_load_seconds_count", {"model": "shades"}) == 1
    assert sample("signet_model_provider", {"model": "shades", "version": "1", "provider": CPU}) == 1


@pytest.mark.parametrize(
    ("model", "unbatched"),
    [
        pytest.param(tiny.linear_model(), "", id="independent rows"),
        pytest.param(tiny.fixed_batch_model(), "axis 0 of x FP32 [1, 2] is not free", id="a fixed batch"),
        pytest.param(tiny.identity_model(shape=()), "axis 0 of x FP32 [] is not free", id="no batch axis"),
        pytest.param(tiny.mean_over_rows_model(), "output y of a row depends on the rows beside it", id="a mean"),
        pytest.param(tiny.detection_model(), "axis 0 of count INT64 [1] is not free", id="a detection"),
    ],
)
def test_why_a_model_is_not_batched_is_told(tmp_path, model, unbatched):
    assert load(tiny.put_bare(tmp_path, "any", model)).unbatched_reason == unbatched


def test_golden_rows_prove_what_made_up_rows_cannot(tmp_path):
    """Made-up features are small; the recorded ones are indices that the model takes."""
    folder = tmp_path / "table" / "1"
    folder.mkdir(parents=True)
    arrays: dict[str, Any] = {
        "input.index": np.array([[2], [1], [0]]),
        "output.y": np.array([[30], [20], [10]], np.float32),
    }
    np.savez(folder / "golden.npz", **arrays)
    stated = {
        "inputs": [{"name": "index", "datatype": "INT64", "shape": [-1, 1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
        "golden": {"rows": 3, "tolerance": {"cpu": 1e-5, "cuda": 1e-5}},
    }
    assert load(tiny.put_package(tmp_path, "table", tiny.gather_model(), stated)).unbatched_reason == ""


def long_mean_model() -> bytes:
    """`x` [rows, 256] → `y` [rows, 256], by products, less the mean over the rows; parts would pay, yet be wrong."""
    size, times = 256, 24
    products = [
        node
        for n in range(times)
        for node in (
            helper.make_node("MatMul", [f"t{n}", "matrix"], [f"m{n}"]),
            helper.make_node("Tanh", [f"m{n}"], [f"t{n + 1}"]),
        )
    ]
    return tiny.model_bytes(
        [
            helper.make_node("Identity", ["x"], ["t0"]),
            *products,
            helper.make_node("ReduceMean", [f"t{times}", "axes"], ["mean"], keepdims=1),
            helper.make_node("Sub", [f"t{times}", "mean"], ["y"]),
        ],
        [tiny.value("x", [None, size])],
        [tiny.value("y", [None, size])],
        {
            "axes": np.array([0], np.int64),
            "matrix": np.random.default_rng(0).standard_normal((size, size)).astype(np.float32) / 16,
        },
    )


def test_golden_rows_of_a_model_whose_rows_depend_on_each_other_are_run_together(tmp_path):
    model = long_mean_model()
    x = np.random.default_rng(1).standard_normal((64, 256)).astype(np.float32)
    folder = tmp_path / "mean" / "1"
    folder.mkdir(parents=True)
    recorded = OnnxSession.open(model, SessionSettings(1)).run({"x": x})["y"]
    arrays: dict[str, Any] = {"input.x": x, "output.y": recorded}
    np.savez(folder / "golden.npz", **arrays)
    stated = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 256]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 256]}],
        "golden": {"rows": 64, "tolerance": {"cpu": 1e-4, "cuda": 1e-4}},
    }
    tiny.put_package(tmp_path, "mean", model, stated)
    settings = LoadSettings(SessionSettings(intra_op_threads=2), 256, 1000, measure_threads=True)
    loaded = Loader(settings, Metrics()).load(folder, "mean", 1)
    assert loaded.unbatched_reason == "output y of a row depends on the rows beside it"
    assert loaded.plan.session.run({"x": x})["y"] == pytest.approx(recorded, abs=1e-4)


def at_most_five_rows_model() -> bytes:
    """`x` [rows, 2] → `y` = x, failing from the sixth row on: each row looks up its place in a table of five."""
    return tiny.model_bytes(
        [
            helper.make_node("Shape", ["x"], ["shape"]),
            helper.make_node("Gather", ["shape", "zero"], ["rows"]),
            helper.make_node("Range", ["zero", "rows", "one"], ["places"]),
            helper.make_node("Gather", ["table", "places"], ["nothing"]),
            helper.make_node("Add", ["x", "nothing"], ["y"]),
        ],
        [tiny.value("x", [None, 2])],
        [tiny.value("y", [None, 2])],
        {"zero": np.array(0, np.int64), "one": np.array(1, np.int64), "table": np.zeros((5, 1), np.float32)},
    )


async def test_a_model_that_fails_at_full_size_is_served_unbatched(tmp_path):
    model = load(tiny.put_bare(tmp_path, "five", at_most_five_rows_model()))
    assert model.unbatched_reason.startswith("a run of 8 rows did not work: the model failed on this input")
    x = np.ones((5, 2), np.float32)
    assert (await model.predict({"x": x}, FOREVER))["y"].tolist() == x.tolist()
    await model.close(0)


def with_weights_beside(root: Path) -> Path:
    """The package `sums` with its weights in model.onnx.data."""
    folder = root / "sums" / "1"
    folder.mkdir(parents=True)
    model = onnx.load_from_string(tiny.sigmoid_model())
    external_data_helper.convert_model_to_external_data(model, location="model.onnx.data", size_threshold=0)
    onnx.save_model(model, str(folder / "model.onnx"))
    return tiny.put_package(root, "sums", (folder / "model.onnx").read_bytes(), dict(tiny.SIGMOID_MANIFEST))


async def test_weights_beside_the_model_are_loaded(tmp_path):
    folder = with_weights_beside(tmp_path)
    assert "model.onnx.data" in checksums(folder)
    model = load(folder)
    answer = await model.predict({"features": np.array([[0, 0, 0]], np.float32)}, FOREVER)
    assert answer["probability"].tolist() == [[0.5]]
    await model.close(0)


def test_weights_beside_the_model_are_checked(tmp_path):
    folder = with_weights_beside(tmp_path)
    (folder / "model.onnx.data").write_bytes(b"\0" * 12)
    assert reason(folder) == "model.onnx.data: the checksum differs from the manifest's"
