"""A version's folder becomes a ServedModel, or a reason that callers may read: no path, no trace."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper

from serving.errors import ModelBroken
from serving.inference.providers import CPU
from serving.inference.session import SessionSettings
from serving.metrics import Metrics
from serving.repository.loading import Loader, LoadSettings
from serving.repository.served_model import ServedModel
from tests import tiny_models as tiny

SETTINGS = LoadSettings(SessionSettings(intra_op_threads=1), max_batch_rows=8, queue_rows=100)
FOREVER = float("inf")
X = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]}
Y = {"outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]}
LETTERS = {"class_indices": {"a": 0, "b": 1, "c": 2}, "decision": {"kind": "argmax"}}


def load(folder: Path, metrics: Metrics | None = None) -> ServedModel:
    return Loader(SETTINGS, metrics or Metrics()).load(folder, folder.parent.name, int(folder.name))


def reason(folder: Path) -> str:
    with pytest.raises(ModelBroken) as error:
        load(folder)
    assert str(folder) not in str(error.value)
    assert "/" not in str(error.value).replace("../", "")
    return str(error.value)


def restated(folder: Path, **changes: Any) -> Path:
    """The package with these fields of its manifest changed."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


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


def test_golden_outputs_beyond_the_tolerance_refuse_the_version(tmp_path):
    assert reason(tiny.put_golden_letters(tmp_path, error=5e-3)) == (
        "golden check: output y differs by 0.005 from the recorded one on CPUExecutionProvider; "
        "at most 1e-05 is allowed"
    )


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


def changed_bytes(root: Path) -> Path:
    folder = tiny.put_shades(root)
    (folder / "model.onnx").write_bytes(tiny.image_model(size=5))
    return folder


def changed_checksum(root: Path) -> Path:
    return restated(tiny.put_shades(root), files={"model.onnx": "0" * 64})


def missing_file(root: Path) -> Path:
    folder = tiny.put_shades(root)
    return restated(folder, files={**checksums(folder), "labels.txt": "0" * 64})


def leading_out(root: Path) -> Path:
    folder = tiny.put_shades(root)
    (root / "secret").write_text("of another")
    return restated(folder, files={**checksums(folder), "../../secret": "0" * 64})


def linked_out(root: Path) -> Path:
    folder = tiny.put_shades(root)
    (root / "secret").write_text("of another")
    (folder / "link").symlink_to(root / "secret")
    return restated(folder, files={**checksums(folder), "link": "0" * 64})


def other_model(root: Path) -> Path:
    return restated(tiny.put_shades(root), model="other")


def other_version(root: Path) -> Path:
    return restated(tiny.put_shades(root), version=2)


def corrupt(root: Path) -> Path:
    return tiny.put_package(root, "shades", b"no model", dict(tiny.IMAGE_MANIFEST))


def corrupt_bare(root: Path) -> Path:
    return tiny.put_bare(root, "bare", b"no model")


def other_inputs(root: Path) -> Path:
    return restated(tiny.put_shades(root), inputs=[{"name": "image", "datatype": "UINT8", "shape": [-1, 4, 4, 1]}])


def other_outputs(root: Path) -> Path:
    return restated(tiny.put_shades(root), outputs=[{"name": "y", "datatype": "FP32", "shape": [-1, 3]}])


def other_preprocessing(root: Path) -> Path:
    return restated(tiny.put_shades(root), preprocessing={**tiny.IMAGE_MANIFEST["preprocessing"], "height": 28})


def fewer_labels(root: Path) -> Path:
    return restated(tiny.put_shades(root), class_indices={"dark": 0, "bright": 1})


def sigmoid_of_three(root: Path) -> Path:
    return restated(tiny.put_sums(root), class_indices={"a": 0, "b": 1, "c": 2})


def labels_too_many(root: Path) -> Path:
    return tiny.put_bare(root, "letters", tiny.linear_model(), labels=["a", "b", "c", "d"])


def golden_missing(root: Path) -> Path:
    return tiny.put_package(
        root,
        "letters",
        tiny.linear_model(),
        {**X, **Y, **LETTERS, "golden": {"rows": 4, "tolerance": {"cpu": 1e-5, "cuda": 1e-5}}},
    )


def golden_fails_to_run(root: Path) -> Path:
    folder = root / "table" / "1"
    folder.mkdir(parents=True)
    arrays: dict[str, Any] = {"input.index": np.array([[9]]), "output.y": np.zeros((1, 1), np.float32)}
    np.savez(folder / "golden.npz", **arrays)
    stated = {
        "inputs": [{"name": "index", "datatype": "INT64", "shape": [-1, 1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
        "golden": {"rows": 1, "tolerance": {"cpu": 1e-5, "cuda": 1e-5}},
    }
    return tiny.put_package(root, "table", tiny.gather_model(), stated)


REASONS: dict[Callable[[Path], Path], str] = {
    changed_bytes: "model.onnx: the checksum differs from the manifest's",
    changed_checksum: "model.onnx: the checksum differs from the manifest's",
    missing_file: "labels.txt is named in manifest.json but cannot be read",
    leading_out: "../../secret in manifest.json leads out of the package",
    linked_out: "link in manifest.json leads out of the package",
    other_model: "manifest.json is of other version 1, its folder is shades version 1",
    other_version: "manifest.json is of shades version 2, its folder is shades version 1",
    corrupt: "model.onnx: onnxruntime cannot load it (INVALID_PROTOBUF)",
    corrupt_bare: "model.onnx: onnxruntime cannot load it (INVALID_PROTOBUF)",
    other_inputs: (
        "manifest.json states other inputs (image UINT8 [-1, 4, 4, 1]) than model.onnx has (image UINT8 [-1, 4, 4, 3])"
    ),
    other_outputs: (
        "manifest.json states other outputs (y FP32 [-1, 3]) than model.onnx has (probabilities FP32 [-1, 3])"
    ),
    other_preprocessing: ("preprocessing gives image [-1, 28, 4, 3], but the model takes image UINT8 [-1, 4, 4, 3]"),
    fewer_labels: "2 labels do not fit the output probabilities FP32 [-1, 3]: width 2 was expected",
    sigmoid_of_three: (
        "3 labels do not fit the output probability FP32 [-1, 1]: a sigmoid output of width 1 has 2 labels"
    ),
    labels_too_many: "4 labels do not fit the output y FP32 [-1, 3]: width 4 was expected",
    golden_missing: "golden.npz cannot be read",
    golden_fails_to_run: "model.onnx: the model failed on this input (INVALID_ARGUMENT)",
}


@pytest.mark.parametrize(("put", "text"), REASONS.items(), ids=[put.__name__.replace("_", " ") for put in REASONS])
def test_a_version_that_must_not_be_served_is_refused_with_the_reason(tmp_path, put, text):
    assert reason(put(tmp_path)) == text


def test_an_empty_version_folder_is_refused(tmp_path):
    folder = tmp_path / "letters" / "1"
    folder.mkdir(parents=True)
    assert reason(folder).startswith("model.onnx: onnxruntime cannot load it")


@pytest.mark.parametrize(
    ("class_indices", "kept"),
    [
        pytest.param(tiny.SHADES, True, id="the same"),
        pytest.param({"bright": 2, "dark": 0, "middle": 1}, True, id="the same in another order of writing"),
        pytest.param({"bright": 0, "middle": 1, "dark": 2}, False, id="labels swapped"),
        pytest.param({"black": 0, "middle": 1, "bright": 2}, False, id="a label renamed"),
    ],
)
def test_a_new_version_must_mean_the_same_by_each_class_index(tmp_path, class_indices, kept):
    tiny.put_shades(tmp_path, version=3)
    newer = restated(tiny.put_shades(tmp_path, version=10), class_indices=class_indices)
    if kept:
        assert load(newer).version == 10
    else:
        assert reason(newer) == f"class_indices are {class_indices}, version 3 has {tiny.SHADES}"


def test_class_indices_are_compared_with_the_version_before_that_can_be_read(tmp_path):
    restated(tiny.put_shades(tmp_path, version=1), class_indices={"bright": 0, "middle": 1, "dark": 2})
    (tiny.put_shades(tmp_path, version=2) / "manifest.json").write_text("{")
    assert "version 1 has" in reason(tiny.put_shades(tmp_path, version=3))


def test_an_older_version_is_not_bound_by_a_newer_one(tmp_path):
    restated(tiny.put_shades(tmp_path, version=2), class_indices={"bright": 0, "middle": 1, "dark": 2})
    assert load(tiny.put_shades(tmp_path, version=1)).version == 1


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


def test_a_datatype_that_is_not_served_is_told(tmp_path):
    folder = tiny.put_bare(tmp_path, "half", tiny.identity_model(TensorProto.BFLOAT16))
    assert reason(folder) == "model.onnx: x is a tensor(bfloat16), which is not served"
