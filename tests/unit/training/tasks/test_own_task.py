"""Tasks of installed packages: the README's example runs as pasted; a broken one breaks nothing else."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from training.task import TrainingError
from training.tasks import TASKS, left_out

ROOT = Path(__file__).parents[4]
README = (ROOT / "README.md").read_text("utf-8")


def install(folder: Path, points: dict[str, str], name: str = "example") -> None:
    """Make `folder`, if it is on the path, hold an installed package with these entry points."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "\n".join(f"{task} = {value}" for task, value in points.items())
    (info / "entry_points.txt").write_text(f"[signet.tasks]\n{lines}\n")


def example(language: str) -> str:
    section = README.partition("### Your own task\n")[2].partition("\n### ")[0]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def signet_train(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}
    return subprocess.run(
        [sys.executable, "-m", "training", *flags],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_readmes_own_task_is_trained_and_published(tmp_path):
    install(tmp_path, tomllib.loads(example("toml"))["project"]["entry-points"]["signet.tasks"])
    (tmp_path / "circle_task.py").write_text(example("python"))
    ended = signet_train(tmp_path, "circle", "--out", "models", "--checkpoints", "checkpoints", "--quantize", "int8")
    assert ended.returncode == 0, ended.stderr
    manifest = json.loads((tmp_path / "models" / "circle" / "1" / "manifest.json").read_text())
    assert manifest["class_indices"] == {"outside": 0, "inside": 1}
    assert manifest["metrics"]["accuracy"] > 0.9
    assert "int8: " in ended.stdout


def test_the_command_lists_the_tasks_of_packages(tmp_path):
    install(tmp_path, {"circle": "nowhere:CIRCLE"})
    assert "fashion_mnist, stacking, circle" in " ".join(signet_train(tmp_path, "--help").stdout.split())


def test_a_broken_package_is_named_and_breaks_no_other_task(tmp_path, monkeypatch):
    install(tmp_path, {"circle": "broken_circle:CIRCLE"})
    (tmp_path / "broken_circle.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        TrainingError,
        match=r"task circle \(signet.tasks of example: broken_circle:CIRCLE\) cannot be imported: ZeroDivisionError",
    ):
        TASKS["circle"]
    assert TASKS["pima"].name == "pima"


def test_a_broken_package_gives_a_sentence_and_no_trace(tmp_path):
    install(tmp_path, {"circle": "nowhere:CIRCLE"})
    ended = signet_train(tmp_path, "circle")
    assert ended.returncode == 1
    assert "signet-train: task circle (signet.tasks of example: nowhere:CIRCLE) cannot be imported" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CIRCLE = 3\n", "is of type int, expected training.task.Task"),
        ("from training.tasks.pima import PIMA as CIRCLE\n", "has the name 'pima', expected 'circle'"),
    ],
    ids=["no task", "another name"],
)
def test_an_entry_point_that_is_not_the_task_is_refused(tmp_path, monkeypatch, text, said):
    module = f"circle_{abs(hash(text))}"
    install(tmp_path, {"circle": f"{module}:CIRCLE"})
    (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TrainingError, match=rf"task circle .* {said}"):
        TASKS["circle"]


def test_names_that_are_taken_are_left_out_and_told(tmp_path, monkeypatch):
    install(tmp_path, {"pima": "mine:PIMA", "report": "mine:REPORT", "ring": "mine:RING", "a b": "mine:SPACE"})
    install(tmp_path, {"ring": "other:RING"}, "rival")
    monkeypatch.syspath_prepend(tmp_path)
    sentences = sorted(left_out())
    assert [sentence.partition(" is left out: ")[2] for sentence in sentences if "pima" in sentence] == [
        "the name is taken by a built-in task"
    ]
    assert any("report" in sentence and "a verb of signet-train" in sentence for sentence in sentences)
    assert any(sentence.startswith("task ring") and "is taken by task ring" in sentence for sentence in sentences)
    assert any("a name has letters" in sentence for sentence in sentences)
    assert set(TASKS) == {"pima", "shapes", "fashion_mnist", "stacking", "ring"}
