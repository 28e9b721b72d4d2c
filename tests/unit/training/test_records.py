import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from training.packages_table import packages_table
from training.records import RUNS, Places, RecordedRun, newest_package, train_records, training_command
from training.results import write_result
from training.task import TrainingError
from training.tasks import TASKS

ROOT = Path(__file__).parents[3]
MLP = RecordedRun("stacking", "mlp", ("--epochs", "1"))


def put_manifest(repository: Path, recipe: str, version: int, task: str = "stacking") -> Path:
    folder = repository / task / str(version)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"recipe": recipe}))
    return folder


def told(runs, places) -> str:
    console = Console(file=StringIO(), width=200)
    train_records(runs, places, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_what_lacks_a_package_is_trained_and_recorded_and_what_has_one_is_not(tmp_path):
    places = Places(tmp_path / "models", tmp_path / "results", ("--checkpoints", str(tmp_path / "checkpoints")))
    put_manifest(places.repository, "cnn", 4)
    printed = told([RecordedRun("stacking", "cnn"), MLP], places)
    assert f"stacking cnn: is there, {places.repository / 'stacking' / '4'}" in printed
    assert re.search(r"stacking mlp: to be trained, as recorded in \d+ s on 2 cores", printed)
    assert "\n2 of 2: signet-train stacking --recipe mlp" in printed
    assert newest_package(places.repository / "stacking", "mlp") == places.repository / "stacking" / "5"
    assert (places.results / "stacking_mlp.json").is_file()
    assert "2 of 2" not in told([MLP], places)


def test_a_run_that_fails_ends_the_records_with_its_name(tmp_path):
    places = Places(tmp_path / "models", tmp_path / "results", ("--data", str(tmp_path / "nowhere")))
    with pytest.raises(TrainingError, match="fashion_mnist quick ended with 1; once that is mended"):
        told([RecordedRun("fashion_mnist", "quick")], places)


def test_a_taught_run_gets_the_newest_package_of_its_teacher(tmp_path):
    places = Places(tmp_path, tmp_path / "results")
    run = RecordedRun("stacking", "mlp", teacher="cnn")
    with pytest.raises(TrainingError, match="mlp is taught by cnn, which has no package"):
        training_command(run, places)
    for version, recipe in ((1, "cnn"), (2, "cnn"), (3, "cnn-int8")):
        put_manifest(tmp_path, recipe, version)
    assert training_command(run, places)[-2:] == ["--teacher", str(tmp_path / "stacking" / "2")]


def test_again_trains_what_is_there(tmp_path):
    put_manifest(tmp_path, "mlp", 1)
    places = Places(tmp_path, tmp_path / "results", ("--data", "x"), again=True)
    assert "is there" in told([MLP], replace(places, again=False))
    with pytest.raises(TrainingError, match="stacking mlp ended with"):
        told([replace(MLP, flags=("--epochs", "none"))], places)


def test_the_recorded_runs_are_recipes_whose_teachers_come_before_them():
    before: list[str] = []
    for run in RUNS:
        recipe = TASKS[run.task].recipes[run.recipe]
        assert recipe.taught == bool(run.teacher)
        assert not run.teacher or run.teacher in before
        before.append(run.recipe)


def test_the_packages_table_has_a_line_for_fp32_and_one_for_int8(tmp_path):
    package = {
        "bytes": 2048,
        "accuracy": 0.9512,
        "rows_per_second": {"in_process": {"1": 900, "64": 1234}, "served": 99},
    }
    run = {"parameters": 1234, "seconds": 7500, "compute": "bfloat16", "course_figure": "", "metrics": {}}
    write_result(tmp_path, "dots", "tiny", {"run": run, "packages": {"fp32": package, "int8": package}})
    header, _, fp32, int8 = packages_table(tmp_path).splitlines()
    assert fp32 == ("| `tiny` | fp32 | 1,234 | 2 h 05 min, bfloat16 | **95.12 %** | - | - | 2 KiB | 900, 1,234 | 99 |")
    assert int8.startswith("| `tiny` | INT8 | 1,234 | - |")
    assert {line.count("|") for line in (header, fp32, int8)} == {header.count("|")}


def test_results_that_were_never_checked_make_no_table(tmp_path):
    write_result(tmp_path, "dots", "tiny", {"run": {}})
    assert packages_table(tmp_path) == ""


def test_a_result_whose_packages_are_broken_is_named(tmp_path):
    write_result(tmp_path, "dots", "tiny", {"packages": {"fp32": {}}})
    with pytest.raises(TrainingError, match=r"dots_tiny\.json: not what a run"):
        packages_table(tmp_path)


def test_the_packages_table_in_the_readme_is_that_of_the_recorded_results():
    readme = (ROOT / "README.md").read_text("utf-8")
    block = r"<!-- packages: python -m training\.packages_table -->\n(.*?)<!-- end of packages -->"
    match = re.search(block, readme, re.DOTALL)
    assert match
    assert match[1] == packages_table()
