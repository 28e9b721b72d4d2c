import json
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from training.nets import quick_net
from training.run import RunOptions, evaluate, run
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
    metrics = evaluate(np.array([[0.75], [0.5]], np.float32), test)
    assert metrics == {"accuracy": 0.5, "loss": pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2), "rows": 2.0}


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
    for flag in ("TASK", "--recipe", "--seed", "--out", "--data", "--epochs"):
        assert flag in ended.stdout
    assert "fashion_mnist" in ended.stdout


@pytest.mark.parametrize(
    ("flags", "code", "text"),
    [
        (["pima", "--epochs", "0"], 2, "'0' came; a whole number from 1 on was expected"),
        (["horses"], 2, "invalid choice: 'horses'"),
        (["pima", "--recipe", "best-ever"], 2, "pima has no best-ever; it has "),
        (["pima", "--data", "nothing.csv"], 1, "signet-train: nothing.csv: No such file"),
        (["fashion_mnist", "--data", "nowhere"], 1, "signet-train: the data set was found nowhere"),
    ],
    ids=["no epochs", "unknown task", "unknown recipe", "no such data", "empty data folder"],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(flags, code, text):
    ended = signet_train(*flags)
    assert ended.returncode == code
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr
