import asyncio
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from serving.inference.session import SessionSettings
from serving.metrics import Metrics
from serving.repository.loading import Loader, LoadSettings
from training.seal import SealOptions, main, read_labels, seal
from training.task import TrainingError

# Keras' own way of reading its weights when it saves them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LABELS = ("rose", "tulip", "daisy")


@pytest.fixture(scope="module")
def flowers(tmp_path_factory) -> Path:
    """A folder with flowers.keras, flowers.h5 and the SavedModel flowers: 4 numbers to 3 probabilities."""
    folder = tmp_path_factory.mktemp("elsewhere")
    numbers = keras.Input((4,), name="leaf.sizes")
    hidden = keras.layers.Dense(5, activation="relu")(numbers)
    model = keras.Model(numbers, keras.layers.Dense(3, activation="softmax", name="kind")(hidden))
    model.save(folder / "flowers.keras")
    model.save(folder / "flowers.h5")
    model.export(folder / "flowers", verbose=False)
    return folder


def onnx_file(path: Path, outputs: int = 1, rows: str | int = "n") -> Path:
    """An ONNX file that gives the softmax of two numbers."""
    tensors = [helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, [rows, 2]) for index in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["x"], [f"y{index}"]) for index in range(outputs)],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 2])],
        tensors,
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def options(model: Path, repository: Path, **changes: Any) -> SealOptions:
    words: dict[str, Any] = {"model": model, "labels": LABELS, "name": "flowers", "golden": None}
    return SealOptions(**{**words, "repository": repository, **changes})


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def served(folder: Path) -> Any:
    """What a server makes of the version: loaded, its golden check passed."""
    loader = Loader(LoadSettings(SessionSettings(intra_op_threads=1), 64, 256), Metrics())
    model = loader.load(folder, folder.parent.name, int(folder.name))
    asyncio.run(model.close(0))
    return model


@pytest.mark.parametrize("kind", ["flowers.keras", "flowers.h5", "flowers"])
def test_a_model_of_each_kind_of_keras_becomes_a_package_that_a_server_loads(flowers, tmp_path, kind):
    folder = seal(options(flowers / kind, tmp_path))
    manifest = manifest_of(folder)
    assert (folder.name, manifest["model"], manifest["recipe"]) == ("1", "flowers", "sealed")
    assert manifest["class_indices"] == {"rose": 0, "tulip": 1, "daisy": 2}
    assert [tensor["shape"] for tensor in (*manifest["inputs"], *manifest["outputs"])] == [[-1, 4], [-1, 3]]
    assert "saved_model.pb" in manifest["files"]
    assert served(folder).golden.rows == 16


def test_a_keras_model_is_proven_equal_to_its_exports(flowers, tmp_path):
    folder = seal(options(flowers / "flowers.keras", tmp_path))
    told = json.loads((folder / "report" / "equality.json").read_text())
    assert set(told["max_abs_difference"]) == {"saved_model", "onnx"}


def test_an_onnx_file_becomes_a_package_with_labels_in_its_metadata(tmp_path):
    folder = seal(options(onnx_file(tmp_path / "two.onnx"), tmp_path / "models", labels=("no", "yes"), name="two"))
    properties = {entry.key: json.loads(entry.value) for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert properties["class_indices"] == {"no": 0, "yes": 1}
    assert manifest_of(folder)["frameworks"]["onnx_opset"] == "17"
    assert served(folder).golden.rows == 16


def test_golden_rows_are_those_of_the_file_with_the_models_answers(tmp_path):
    rows = np.array([[0, 0], [1, 0], [0, 3]], np.float32)
    arrays: dict[str, Any] = {"input.x": rows}
    np.savez(tmp_path / "rows.npz", **arrays)
    folder = seal(
        options(onnx_file(tmp_path / "two.onnx"), tmp_path / "models", labels=("a", "b"), golden=tmp_path / "rows.npz")
    )
    golden = np.load(folder / "golden.npz")
    assert golden["input.x"].tolist() == rows.tolist()
    assert golden["output.y0"][0].tolist() == [0.5, 0.5]
    assert manifest_of(folder)["golden"]["rows"] == 3


def test_made_up_rows_are_the_same_each_time(tmp_path):
    model = onnx_file(tmp_path / "two.onnx")
    first, second = (
        np.load(seal(options(model, tmp_path / "models", labels=("a", "b"))) / "golden.npz")["input.x"]
        for _ in range(2)
    )
    assert first.tolist() == second.tolist()


def test_images_are_taken_by_a_model_of_pixels(tmp_path):
    image = keras.Input((4, 5, 3), dtype="uint8")
    hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(hidden)).save(tmp_path / "cats.keras")
    folder = seal(
        options(tmp_path / "cats.keras", tmp_path / "models", labels=("no", "cat"), image=(4, 5, "rgb"), name="cats")
    )
    manifest = manifest_of(folder)
    assert manifest["decision"] == {"kind": "sigmoid", "threshold": 0.5}
    assert (manifest["preprocessing"]["height"], manifest["preprocessing"]["width"]) == (4, 5)
    assert served(folder).golden.rows == 16


def test_the_command_names_the_package_after_the_file(tmp_path, capsys):
    model = onnx_file(tmp_path / "coins.onnx")
    (tmp_path / "labels.txt").write_text("head\ntail\n")
    main([str(model), "--labels", str(tmp_path / "labels.txt"), "--out", str(tmp_path / "models")])
    assert capsys.readouterr().out == f"package: {tmp_path}/models/coins/1\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing.txt", "--labels nothing.txt: no such file; a file with a label a line, or a,b,c was expected"),
        ("a,b,a", "--labels a,b,a: a came twice"),
        ("a,", "--labels a,: 1 labels came, at least 2 were expected"),
    ],
    ids=["no such file", "twice", "one"],
)
def test_labels_that_cannot_be_meant_are_refused(text, said):
    with pytest.raises(TrainingError) as raised:
        read_labels(text)
    assert str(raised.value) == said


def test_labels_of_another_number_than_the_outputs_are_refused(flowers, tmp_path):
    with pytest.raises(TrainingError, match=r"2 labels do not fit the output kind \[-1, 3\], expected 3 labels"):
        seal(options(flowers / "flowers.keras", tmp_path / "models", labels=("a", "b")))
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros((2, 2), np.float32)}, "no array input.x; it has x"),
        ({"input.x": np.zeros((2, 3), np.float32)}, r"input.x is float32 \[2, 3\], expected rows of float32 \[2\]"),
        ({"input.x": np.zeros((2, 2))}, r"input.x is float64 \[2, 2\], expected rows of float32 \[2\]"),
        ({"input.x": np.zeros((0, 2), np.float32)}, r"input.x is float32 \[0, 2\]"),
    ],
    ids=["another name", "another shape", "another datatype", "no rows"],
)
def test_golden_rows_that_the_model_does_not_take_are_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "rows.npz", **arrays)
    with pytest.raises(TrainingError, match=rf"--golden .*rows\.npz: {said}"):
        seal(options(onnx_file(tmp_path / "two.onnx"), tmp_path, labels=("a", "b"), golden=tmp_path / "rows.npz"))


def test_files_that_are_no_models_are_named(tmp_path):
    for name, said in (
        ("gone.keras", "there is no such file"),
        ("notes.txt", "it is none of them"),
        ("broken.onnx", "ONNX cannot read it"),
        ("broken.keras", "Keras cannot load it"),
    ):
        if name != "gone.keras":
            (tmp_path / name).write_text("no model")
        with pytest.raises(TrainingError, match=rf"{name}: {said}"):
            seal(options(tmp_path / name, tmp_path / "models"))
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outputs": 2}, r"the model has 2 outputs \(y0, y1\), expected one"),
        ({"rows": 1}, r"tensor x: float32 \[1, 2\] cannot be exported; expected rows as the only free axis"),
    ],
    ids=["two outputs", "one row at a time"],
)
def test_onnx_models_of_another_form_are_refused(tmp_path, changes, said):
    with pytest.raises(TrainingError, match=said):
        seal(options(onnx_file(tmp_path / "two.onnx", **changes), tmp_path / "models", labels=("a", "b")))


def test_images_need_an_input_of_pixels(flowers, tmp_path):
    with pytest.raises(TrainingError, match=r"--image needs an input of uint8 \[2, 2, 1\], this model takes float32"):
        seal(options(flowers / "flowers.keras", tmp_path, image=(2, 2, "grayscale")))


def test_a_sigmoid_output_that_gives_no_probabilities_is_refused(tmp_path):
    numbers = keras.Input((2,))
    keras.Model(numbers, keras.layers.Dense(1, kernel_initializer="ones")(numbers)).save(tmp_path / "logit.keras")
    with pytest.raises(TrainingError, match=r"expected probabilities: end the model with a sigmoid"):
        seal(options(tmp_path / "logit.keras", tmp_path / "models", labels=("a", "b")))


@pytest.mark.parametrize("name", ["../up", "a b", "", ".hidden"])
def test_a_name_that_is_no_models_name_is_refused(tmp_path, name):
    with pytest.raises(TrainingError, match=r"--name .*: 1 to 128 letters"):
        seal(options(onnx_file(tmp_path / "two.onnx"), tmp_path / "models", labels=("a", "b"), name=name))


def test_other_labels_than_the_version_before_are_refused(tmp_path):
    model = onnx_file(tmp_path / "two.onnx")
    seal(options(model, tmp_path / "models", labels=("a", "b")))
    with pytest.raises(TrainingError, match="labels never change between versions"):
        seal(options(model, tmp_path / "models", labels=("b", "a")))
