import json
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

from training.fitting import FitPlan, fit, predict
from training.losses import binary_crossentropy
from training.nets import quick_net
from training.results import read_result
from training.resuming import checkpoint_of, fit_recipe
from training.run import RunOptions, evaluate, evaluate_mirrored, load, run
from training.task import Rows, TrainingError
from training.tasks import TASKS
from training.tasks.shapes import build_cnn


@pytest.fixture(scope="module")
def pima(tmp_path_factory):
    """The package of a pima run of three epochs, and what was printed."""
    console = Console(record=True, width=200, quiet=False, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    repository = tmp_path_factory.mktemp("models")
    task = TASKS["pima"]
    folder = run(task, task.recipes["seed"], RunOptions(repository, "signet-train pima", epochs=3), console)
    console.file.close()
    return folder, console.export_text()


def test_a_run_ends_in_a_package_with_its_report(pima):
    folder, _ = pima
    assert folder.name == "1"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["class_indices"] == {"negative": 0, "positive": 1}
    assert [one["name"] for one in manifest["preprocessing"]["features"]][:2] == ["pregnancies", "glucose"]
    assert (folder / "report" / "report.html").is_file()
    report = json.loads((folder / "report" / "report.json").read_text())
    assert (report["seed"], report["epochs"]) == (5, 3)


def test_progress_ends_with_everything_done_and_the_test_figure(pima):
    _, printed = pima
    assert "epoch 3/3  100%" in printed
    assert "test: " in printed
    assert "221 parameters" in printed


def test_the_ranges_in_the_manifest_are_those_of_the_training_rows():
    task = TASKS["pima"]
    data = task.load(None, 1)
    for index, feature in enumerate(task.preprocessing["features"]):
        column = data.train.inputs[:, index]
        assert (float(column.min()), float(column.max())) == pytest.approx((feature["minimum"], feature["maximum"]))


def test_the_courses_nets_have_the_courses_numbers_of_parameters():
    three = TASKS["pima"].load(None, 1)
    classes = {**vars(three), "class_indices": {"circle": 0, "rectangle": 1, "triangle": 2}}
    assert TASKS["pima"].recipes["seed"].build(three).count_params() == 221
    assert build_cnn(type(three)(**classes)).count_params() == 839_107
    assert quick_net((28, 28, 1), 10).count_params() == 221_314


def test_accuracy_and_cross_entropy_are_measured_on_the_test_rows():
    test = Rows(np.zeros((2, 1)), np.array([1, 0]))
    metrics = evaluate(np.array([[0.75], [0.5]], np.float32), test, 0.5)
    assert metrics == {"accuracy": 0.5, "loss": pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2), "rows": 2.0}


def test_the_accuracy_of_the_mean_over_mirror_images_is_a_figure_of_its_own():
    image = keras.Input((1, 2, 1), dtype="uint8")
    hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Softmax()(hidden))
    # Left of [1, 0] is the brighter, and its mirror image says right; for a tie the lower class is taken.
    test = Rows(np.array([[[[255], [0]]], [[[0], [255]]]], np.uint8), np.array([0, 1]))
    scores = predict(model, test.inputs)
    assert evaluate(scores, test, 0.5)["accuracy"] == 1.0
    assert evaluate_mirrored(model, scores, test) == {"flip_averaged_accuracy": 0.5}


def test_labels_that_differ_from_the_version_before_are_refused_before_training(pima):
    folder, _ = pima
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["class_indices"] = {"no": 0, "yes": 1}
    other = folder.parent.parent / "other" / "pima" / "1"
    other.mkdir(parents=True)
    (other / "manifest.json").write_text(json.dumps(manifest))
    task = TASKS["pima"]
    with pytest.raises(TrainingError, match="labels never change between versions"):
        run(task, task.recipes["seed"], RunOptions(other.parent.parent, ""), Console(quiet=True))


def signet_train(*flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "training", *flags], capture_output=True, text=True, timeout=120, check=False
    )


def test_help_explains_every_flag_and_does_not_wait_for_tensorflow():
    ended = signet_train("--help")
    assert ended.returncode == 0
    for flag in ("TASK", "--recipe", "--seed", "--out", "--data", "--epochs", "--budget-minutes", "--checkpoints"):
        assert flag in ended.stdout
    for verb in ("sweep", "report", "seal"):
        assert f"\n  {verb} " in ended.stdout
    assert "fashion_mnist" in ended.stdout


@pytest.mark.parametrize(
    ("flags", "code", "text"),
    [
        (["pima", "--epochs", "0"], 2, "'0' came; a whole number from 1 on was expected"),
        (["pima", "--budget-minutes", "-1"], 2, "'-1' came; a number of minutes above 0 was expected"),
        (["horses"], 2, "invalid choice: 'horses'"),
        (["pima", "--recipe", "best-ever"], 2, "pima has no best-ever; it has "),
        (["pima", "--data", "nothing.csv"], 1, "signet-train: nothing.csv: No such file"),
        (["fashion_mnist", "--data", "nowhere"], 1, "signet-train: the data set was found nowhere"),
    ],
    ids=["no epochs", "no time", "unknown task", "unknown recipe", "no such data", "empty data folder"],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(flags, code, text):
    ended = signet_train(*flags)
    assert ended.returncode == code
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


def stopped_by(number: signal.Signals, folder: Path) -> subprocess.CompletedProcess:
    """`signet-train pima` in `folder`, sent the signal once it has a checkpoint, with thousands of epochs to go."""
    command = [sys.executable, "-m", "training", "pima", "--recipe", "seed", "--epochs", "2500"]
    checkpoints = folder / "checkpoints"
    # A shell starts background jobs with SIGINT ignored, and children inherit that; one with a handler they do not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*command, "--out", str(folder / "models"), "--checkpoints", str(checkpoints)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    for _ in range(4000):
        if list(checkpoints.glob("*.npz")):
            process.send_signal(number)
            break
        try:
            process.wait(0.03)
            break
        except subprocess.TimeoutExpired:
            continue
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_a_run_that_is_killed_goes_on_by_the_same_command_and_ends_in_the_same_weights(tmp_path):
    assert stopped_by(signal.SIGKILL, tmp_path).returncode == -signal.SIGKILL
    assert not list((tmp_path / "models").rglob("*.onnx"))

    task = TASKS["pima"]
    recipe = task.recipes["seed"]
    fitted = {}
    for name, folder in (("gone on", tmp_path / "checkpoints"), ("whole", None)):
        settings = RunOptions(tmp_path, "", epochs=2500, checkpoints=folder).fit_settings(recipe)
        dataset = load(task, recipe, None, settings.seed, Console(quiet=True))
        console = Console(file=StringIO(), width=200)
        fitted[name] = fit_recipe(recipe, dataset, settings, checkpoint_of(task, recipe, dataset, settings), console)
        assert ("goes on after epoch" in console.file.getvalue()) == (name == "gone on")  # type: ignore[attr-defined]
    for left, right in zip(*(one.model.get_weights() for one in fitted.values()), strict=True):
        assert left.tobytes() == right.tobytes()
    assert fitted["gone on"].history == fitted["whole"].history
    assert len(fitted["whole"].history["loss"]) == 2500


def test_ctrl_c_leaves_a_checkpoint_tells_where_and_publishes_nothing(tmp_path):
    ended = stopped_by(signal.SIGINT, tmp_path)
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    assert ended.returncode == 130
    assert f"stopped: the same command goes on from {checkpoint}" in ended.stdout
    assert ended.stderr == ""
    assert list((tmp_path / "models" / "pima").iterdir()) == []


def test_a_published_run_leaves_no_checkpoint_and_its_result_where_it_was_asked_to(tmp_path):
    task = TASKS["pima"]
    options = RunOptions(
        tmp_path / "models", "", epochs=2, checkpoints=tmp_path / "checkpoints", results=tmp_path / "results"
    )
    run(task, task.recipes["seed"], options, Console(quiet=True))
    assert list((tmp_path / "checkpoints").iterdir()) == []
    result = read_result(tmp_path / "results" / "pima_seed.json")["run"]
    assert result["command"] == "signet-train pima --recipe seed --seed 5 --epochs 2"
    assert result["parameters"] == 221
    assert result["test"]["rows"] == 68


def fitted(folder: Path, *, checkpoints: bool = False, **options) -> tuple[keras.Model, int, str]:
    """Fit pima's net step by step, which compiles quicker; give model, epochs, and what was printed."""
    task = TASKS["pima"]
    plan = FitPlan(lambda _: keras.optimizers.Adam(), binary_crossentropy, batch_rows=64, jit_compile=False)
    recipe = replace(task.recipes["seed"], fit=partial(fit, plan=plan))
    settings = RunOptions(folder, "", checkpoints=folder if checkpoints else None, **options).fit_settings(recipe)
    dataset = load(task, recipe, None, settings.seed, Console(quiet=True))
    console = Console(file=StringIO(), width=200)
    fitted = fit_recipe(recipe, dataset, settings, checkpoint_of(task, recipe, dataset, settings), console)
    return fitted.model, fitted.epochs, console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "goes_on"),
    [({}, True), ({"fresh": True}, False), ({"seed": 6}, False), ({"epochs": 3}, False)],
    ids=["the same command", "fresh", "another seed", "other epochs"],
)
def test_only_the_same_run_goes_on_from_a_checkpoint_and_only_if_it_may(tmp_path, changes, goes_on):
    fitted(tmp_path, checkpoints=True, epochs=2)
    _, _, printed = fitted(tmp_path, checkpoints=True, **{"epochs": 2, **changes})
    assert ("goes on after epoch 2" in printed) == goes_on


def test_a_budget_that_is_too_small_trains_one_epoch_and_says_so(tmp_path):
    _, epochs, printed = fitted(tmp_path, epochs=9000, budget_minutes=1e-6)
    assert epochs == 1
    assert "1 of 9000 epochs, the schedule scaled to them" in printed


def test_an_ample_budget_changes_nothing(tmp_path):
    (once, _, _), (again, epochs, _) = (fitted(tmp_path, epochs=2, budget_minutes=budget) for budget in (None, 1000))
    assert epochs == 2
    for left, right in zip(once.get_weights(), again.get_weights(), strict=True):
        assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("name", ["tensorflow", "jinja2"])
def test_without_the_extra_for_training_the_error_says_what_to_install(name):
    program = (
        f"import sys; sys.modules[{name!r}] = None; sys.argv = ['signet-train', 'pima'];"
        "from training.__main__ import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert (
        ended.stderr
        == f"signet-train: {name} is not installed; training needs the extra: pip install 'signet[train]'\n"
    )
