"""A version that must not be served is refused with a reason that callers may read: no path, no trace."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from serving.errors import ModelBroken
from serving.inference.session import SessionSettings
from serving.metrics import Metrics
from serving.repository.loading import Loader, LoadSettings
from serving.repository.served_model import ServedModel
from tests import tiny_models as tiny

SETTINGS = LoadSettings(SessionSettings(intra_op_threads=1), max_batch_rows=8, queue_rows=100)
X = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]}
Y = {"outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]}
LETTERS = {"class_indices": {"a": 0, "b": 1, "c": 2}, "decision": {"kind": "argmax"}}


def load(folder: Path) -> ServedModel:
    return Loader(SETTINGS, Metrics()).load(folder, folder.parent.name, int(folder.name))


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


def changed_bytes(root: Path) -> Path:
    folder = tiny.put_shades(root)
    (folder / "model.onnx").write_bytes(tiny.image_model(size=5))
    return folder


def changed_checksum(root: Path) -> Path:
    return restated(tiny.put_shades(root), files={"model.onnx": "0" * 64})


def changed_golden(root: Path) -> Path:
    folder = tiny.put_golden_letters(root)
    return restated(folder, files={**checksums(folder), "golden.npz": "0" * 64})


def changed_by_others(root: Path) -> Path:
    folder = tiny.put_shades(root)
    (folder / "saved_model.pb").write_bytes(b"of another run")
    return restated(folder, files={**checksums(folder), "saved_model.pb": "0" * 64})


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
    changed_golden: "golden.npz: the checksum differs from the manifest's",
    changed_by_others: "saved_model.pb: the checksum differs from the manifest's",
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


def test_class_indices_are_compared_with_the_version_just_before(tmp_path):
    restated(tiny.put_shades(tmp_path, version=1), class_indices={"bright": 0, "middle": 1, "dark": 2})
    tiny.put_shades(tmp_path, version=2)
    assert load(tiny.put_shades(tmp_path, version=3)).version == 3


def test_an_older_version_is_not_bound_by_a_newer_one(tmp_path):
    restated(tiny.put_shades(tmp_path, version=2), class_indices={"bright": 0, "middle": 1, "dark": 2})
    assert load(tiny.put_shades(tmp_path, version=1)).version == 1


def test_golden_outputs_beyond_the_tolerance_refuse_the_version(tmp_path):
    assert reason(tiny.put_golden_letters(tmp_path, error=5e-3)) == (
        "golden check: output y differs by 0.005 from the recorded one on CPUExecutionProvider; "
        "at most 1e-05 is allowed"
    )


def test_a_datatype_that_is_not_served_is_told(tmp_path):
    model = tiny.model_bytes(
        [helper.make_node("SequenceAt", ["x", "first"], ["y"])],
        [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [None, 2])],
        [tiny.value("y", [None, 2])],
        {"first": np.array(0, np.int64)},
    )
    folder = tiny.put_bare(tmp_path, "list", model)
    assert reason(folder) == "model.onnx: x is a seq(tensor(float)), which is not served"
