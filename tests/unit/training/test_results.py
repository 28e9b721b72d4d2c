import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny_runs
from training.recording import record_run, record_sweep
from training.results import HEADER, read_result, results_table, spread, write_result
from training.task import TrainingError

ROOT = Path(__file__).parents[3]


def recorded(folder: Path, kinds: str = "run sweep", **changes) -> Path:
    """The recorded result of a tiny run, and of a sweep of three seeds."""
    model, run = tiny_runs.image_run(test_rows=40, **{"augment_seconds": 2.5, **changes})
    path = folder
    if "run" in kinds:
        path = record_run(run.task, run, model.count_params(), Path("/home/somebody/dots.zip"), folder)
    if "sweep" in kinds:
        done = [
            {"seed": seed, "accuracy": right / 40, "correct": right, "rows": 40, "seconds": 1.0, "parameters": 99}
            for seed, right in ((1, 30), (2, 36), (3, 32))
        ]
        path = record_sweep(run.task, run.recipe, done, 3.21, None, 1, folder)
    return path


def test_a_recorded_run_tells_how_to_get_the_same_figure_again_and_no_path_of_this_machine(tmp_path):
    path = recorded(tmp_path, "run")
    result = read_result(path)
    assert path.name == "dots_tiny.json"
    run = result["run"]
    assert run["command"] == "signet-train dots --recipe tiny --seed 3 --data dots.zip"
    assert run["test"] == {"accuracy": 0.25, "correct": 10, "rows": 40}
    assert (run["seed"], run["epochs"], run["date"], run["seconds"]) == (3, 2, "2026-05-04", 12.5)
    assert run["augment_share"] == 0.2
    assert run["versions"]["keras"]
    assert run["machine"]["cores"] >= 1
    assert "somebody" not in path.read_text("utf-8")


def test_a_taught_runs_command_names_its_teacher(tmp_path):
    teacher = {"package": "dots/7", "recipe": "large", "sha256": 64 * "0"}
    run = read_result(recorded(tmp_path, "run", teacher=teacher))["run"]
    assert "--teacher models/dots/7" in run["command"]
    assert run["teacher"] == teacher


def test_epochs_that_are_not_the_recipes_are_part_of_the_command(tmp_path):
    assert "--epochs 1" in read_result(recorded(tmp_path, "run", epochs=1))["run"]["command"]


def test_a_recorded_sweep_stands_beside_the_run_with_each_seed_and_the_spread(tmp_path):
    result = read_result(recorded(tmp_path))
    assert result["run"]["seed"] == 3
    assert [(one["seed"], one["correct"]) for one in result["runs"]] == [(1, 30), (2, 36), (3, 32)]
    assert result["sweep"]["command"] == "signet-train sweep dots --recipe tiny --seeds 3 --epochs 1"
    assert result["sweep"]["accuracy"]["median"] == 0.8


def test_the_spread_is_median_mean_lowest_highest_and_their_distance():
    assert spread([0.5, 0.75, 1.0, 0.25]) == {
        "median": 0.625,
        "mean": 0.625,
        "lowest": 0.25,
        "highest": 1.0,
        "spread": 0.75,
    }


def test_the_table_has_a_line_for_each_result(tmp_path):
    recorded(tmp_path)
    (line,) = results_table(tmp_path).removeprefix(HEADER).splitlines()
    assert line.startswith("| `dots` | `tiny` | ")
    assert "**25.00 %** (10 of 40), seed 3" in line
    assert "3 seeds: 80.00 %, 75.00 % to 90.00 %" in line
    assert line.count("|") == HEADER.splitlines()[0].count("|")


def test_a_cross_validated_run_shows_the_figures_of_its_folds(tmp_path):
    recorded(tmp_path, "run", metrics={"accuracy": 0.25, "cv_accuracy": 0.7812, "cv_auc": 0.8461, "cv_brier": 0.1512})
    assert "; 10 x 10 folds: 78.12 %, AUC 0.846, Brier 0.151" in results_table(tmp_path)


def test_a_result_of_a_sweep_alone_leaves_the_runs_cells_empty(tmp_path):
    recorded(tmp_path, "sweep")
    assert "| 99 | - | - | 3 seeds" in results_table(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"task": "a", "recipe": "b", "run": {}}'])
def test_a_file_that_is_no_result_is_named(tmp_path, content):
    (tmp_path / "odd.json").write_text(content, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"odd\.json: "):
        results_table(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match=r"file/a_b\.json: the result could not be written"):
        write_result(tmp_path / "file", "a", "b", {})


def test_the_table_in_the_readme_is_that_of_the_recorded_results():
    readme = (ROOT / "README.md").read_text("utf-8")
    match = re.search(r"<!-- results: python -m training\.results -->\n(.*?)<!-- end of results -->", readme, re.DOTALL)
    assert match
    assert match[1] == results_table()


def test_the_table_is_printed_without_tensorflow():
    code = (
        "import runpy, sys; runpy.run_module('training.results', run_name='__main__'); sys.exit('keras' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == results_table()


def test_no_recorded_result_names_a_folder_of_a_machine():
    for path in (ROOT / "training" / "results").glob("*.json"):
        for name, told in json.loads(path.read_text("utf-8")).items():
            command = told.get("command", "") if isinstance(told, dict) else ""
            assert not re.search(r"(?<!\S)[/~.]", command), f"{path.name}: {name}"
