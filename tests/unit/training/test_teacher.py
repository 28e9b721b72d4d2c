import dataclasses
import json
import shutil
from functools import partial
from io import StringIO

import keras
import numpy as np
import pytest
from rich.console import Console

from tests import tiny_runs
from training.distilling import fit_taught, taught_rows
from training.export import export_package
from training.fitting import FitPlan
from training.losses import taught_crossentropy
from training.resuming import FitSettings, checkpoint_of
from training.run import RunOptions, run
from training.task import FitOptions, Task, TrainingError
from training.teacher import open_teacher

PLAN = FitPlan(
    optimizer=lambda _: keras.optimizers.Adam(0.01), loss=taught_crossentropy, batch_rows=8, jit_compile=False
)


@pytest.fixture(scope="module")
def teaching(tmp_path_factory):
    """The package of an untrained net, the net, and the run's data set."""
    model, record = tiny_runs.image_run()
    folder = export_package(model, record, tmp_path_factory.mktemp("teacher"), lambda *_: None)
    return folder, model, record.dataset


def pupil_task(teaching, **changes) -> Task:
    """The teacher's task, with one recipe that is taught."""
    _, _, dataset = teaching
    _, record = tiny_runs.image_run()

    def net() -> keras.Model:
        image = keras.Input((6, 6, 1), dtype="uint8", name="image")
        hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
        return keras.Model(image, keras.layers.Dense(3, activation="softmax")(hidden))

    recipe = dataclasses.replace(
        record.recipe,
        name="pupil",
        build=lambda _: net(),
        fit=partial(fit_taught, plan=PLAN),
        **{"taught": True, "mirrors": True, **changes},
    )
    return dataclasses.replace(record.task, load=lambda *_: dataset, recipes={"pupil": recipe}, default_recipe="pupil")


def test_a_teachers_answers_are_those_of_its_net_and_it_is_told_by_its_checksum(teaching):
    folder, model, dataset = teaching
    teacher = open_teacher(folder, dataset)
    inputs = dataset.train.inputs
    assert teacher.answers(inputs) == pytest.approx(np.asarray(model(inputs, training=False)), abs=1e-5)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert teacher.told == {"package": "dots/1", "recipe": "tiny", "sha256": manifest["files"]["model.onnx"]}


def test_what_is_taught_of_a_row_is_the_answer_for_the_image_as_it_was_drawn_and_some_of_the_truth(teaching):
    folder, _, dataset = teaching
    teacher = open_teacher(folder, dataset)
    drawn = taught_rows(dataset, teacher.answers)(dataset.train, np.random.default_rng(0))
    truth = np.eye(3)[drawn.truth]
    assert drawn.targets == pytest.approx(0.8 * teacher.answers(drawn.inputs) + 0.2 * truth, abs=1e-5)
    assert drawn.targets.dtype == np.float32
    was = [image.tobytes() for image in dataset.train.inputs]
    unchanged = sum(image.tobytes() in was for image in drawn.inputs)
    mirrored = sum(np.ascontiguousarray(image[:, ::-1]).tobytes() in was for image in drawn.inputs)
    assert unchanged + mirrored == len(was)
    assert 5 < mirrored < 25


def test_a_pupil_comes_to_answer_as_its_teacher_does(teaching):
    folder, _, dataset = teaching
    teacher, task = open_teacher(folder, dataset), pupil_task(teaching)
    how = task.recipes["pupil"]
    model = how.build(dataset)
    history = how.fit(model, dataset, FitOptions(30, 1, lambda *_: None, lambda _: None, teacher=teacher.answers))
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_a_taught_run_tells_who_taught_it_in_its_report_and_its_result(teaching, tmp_path):
    folder, _, _ = teaching
    task = pupil_task(teaching)
    console = Console(file=StringIO(), width=200)
    options = RunOptions(tmp_path / "models", "", epochs=1, results=tmp_path / "results", teacher=folder)
    package = run(task, task.recipes["pupil"], options, console)
    told = json.loads((package / "report" / "report.json").read_text())
    assert told["teacher"]["package"] == "dots/1"
    assert "Taught by" in (package / "report" / "report.html").read_text("utf-8")
    assert "flip_averaged_accuracy" in told["metrics"]
    result = json.loads((tmp_path / "results" / "dots_pupil.json").read_text())["run"]
    assert result["teacher"] == told["teacher"]
    assert "taught by dots/1" in console.file.getvalue()  # type: ignore[attr-defined]


def test_another_teacher_has_another_checkpoint(teaching, tmp_path):
    folder, _, dataset = teaching
    task = pupil_task(teaching)
    teacher = open_teacher(folder, dataset)
    other = dataclasses.replace(teacher, told={**teacher.told, "sha256": 64 * "0"})
    paths = {
        checkpoint_of(task, task.recipes["pupil"], dataset, FitSettings(1, 1, None, tmp_path, teacher=one)).path  # type: ignore[union-attr]
        for one in (teacher, other, None)
    }
    assert len(paths) == 3


def without_manifest(folder):
    (folder / "manifest.json").unlink()


def without_model(folder):
    (folder / "model.onnx").unlink()


def another_model(folder):
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")


def manifest_with(**changes):
    def change(folder):
        path = folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (without_manifest, "no package: a folder with manifest.json and model.onnx was expected"),
        (without_model, "no package: a folder with manifest.json and model.onnx was expected"),
        (another_model, "model.onnx has another checksum than manifest.json states"),
        (manifest_with(class_indices={"a": 0, "b": 1}), "has class_indices .*'a'.*; .*circle.* were expected"),
        (manifest_with(inputs=[]), "manifest.json has not the expected fields"),
        (
            manifest_with(inputs=[{"name": "image", "datatype": "UINT8", "shape": [-1, 9, 9, 1]}]),
            r"takes uint8 \[9, 9, 1\]; the training rows are uint8 \[6, 6, 1\]",
        ),
        (
            manifest_with(outputs=[{"name": "p", "datatype": "FP32", "shape": [-1, 1]}]),
            r"gives \[1\]; a probability of each label was expected",
        ),
    ],
    ids=["no manifest", "no model", "changed", "other labels", "a broken manifest", "other inputs", "other outputs"],
)
def test_what_cannot_teach_is_named_with_what_is_wrong_with_it(teaching, tmp_path, change, text):
    folder, _, dataset = teaching
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    change(broken)
    with pytest.raises(TrainingError, match=f"--teacher .*broken: {text}"):
        open_teacher(broken, dataset)


@pytest.mark.parametrize(
    ("taught", "given", "text"),
    [
        (True, False, "recipe pupil: --teacher is missing; it names the folder of the package that teaches it"),
        (False, True, "recipe pupil has no teacher"),
    ],
    ids=["missing", "of no use"],
)
def test_a_teacher_is_there_if_and_only_if_the_recipe_is_taught(teaching, tmp_path, taught, given, text):
    task = pupil_task(teaching, taught=taught)
    options = RunOptions(tmp_path, "", teacher=teaching[0] if given else None)
    with pytest.raises(TrainingError, match=text):
        run(task, task.recipes["pupil"], options, Console(quiet=True))
