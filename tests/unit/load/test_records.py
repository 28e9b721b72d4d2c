import json
from typing import Any

import numpy as np
import pytest

from tests.load.records import Length, check_packages, record, recorded_packages
from tests.tiny_models import put_golden_letters
from training.packages_table import packages_table
from training.results import read_result, write_result

ROWS = np.eye(3, dtype=np.float32).repeat(4, axis=0)
RUN = {
    "parameters": 9,
    "seconds": 12.0,
    "course_figure": "50.00 %",
    "metrics": {"accuracy": 1.0, "flip_averaged_accuracy": 0.75},
    "test": {"correct": 12},
}


@pytest.fixture
def letters(tmp_path):
    """A repository with the package of a recipe and its recorded result: all of 12 rows are right."""
    folder = put_golden_letters(tmp_path / "models", recipe="tiny")
    truth = np.arange(3, dtype=np.int64).repeat(4)
    arrays: dict[str, Any] = {"input.x": ROWS, "truth": truth}
    np.savez(folder / "evaluation.npz", **arrays)
    (folder / "report").mkdir()
    (folder / "report" / "report.json").write_text(json.dumps({"metrics": {"accuracy": 1.0, "rows": 12}}))
    write_result(tmp_path / "results", "letters", "tiny", {"run": RUN})
    return folder


def checked(folder, tmp_path):
    packages = recorded_packages(folder.parent)
    (one,) = check_packages(folder.parent.parent, packages, tmp_path / "results", Length(1, 0.05))
    return one


def test_a_right_package_is_measured_and_stands_in_the_table(letters, tmp_path):
    one = checked(letters, tmp_path)
    assert one["wrong"] == []
    assert (one["recipe"], one["numbers"], one["correct"], one["rows"]) == ("tiny", "fp32", 12, 12)
    assert min(*one["rows_per_second"]["in_process"].values(), one["rows_per_second"]["served"]) > 0

    record([one], "letters", tmp_path / "results")
    stated = read_result(tmp_path / "results" / "letters_tiny.json")
    assert stated["run"] == RUN
    assert stated["packages"]["fp32"]["accuracy"] == 1.0
    assert "| `tiny` | fp32 | 9 | 12 s, float32 | **100.00 %** | 75.00 % | 50.00 % |" in packages_table(
        tmp_path / "results"
    )


def report_another(folder, _):
    (folder / "report" / "report.json").write_text(json.dumps({"metrics": {"accuracy": 0.75, "rows": 12}}))


def record_another(_, tmp_path):
    write_result(tmp_path / "results", "letters", "tiny", {"run": {**RUN, "test": {"correct": 11}}})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (report_another, "served, 12 of 12 are right; its report states 9"),
        (record_another, "served, 12 of 12 are right; letters_tiny.json records 11"),
    ],
    ids=["its report", "the recorded result"],
)
def test_a_package_that_is_not_as_stated_is_named_and_not_recorded(letters, tmp_path, change, sentence):
    change(letters, tmp_path)
    one = checked(letters, tmp_path)
    assert one["wrong"] == [sentence]
    record([one], "letters", tmp_path / "results")
    assert "packages" not in read_result(tmp_path / "results" / "letters_tiny.json")


def test_a_changed_file_is_named_and_the_server_does_not_serve_it(letters, tmp_path):
    with (letters / "model.onnx").open("ab") as file:
        file.write(b"\0")
    first, second = checked(letters, tmp_path)["wrong"]
    assert first == "model.onnx: its checksum differs"
    assert "letters" in second


def test_the_newest_package_of_a_recipe_counts_and_int8_is_its_own(tmp_path):
    for version, recipe in enumerate(("tiny", "tiny", "tiny-int8", "other"), 1):
        folder = put_golden_letters(tmp_path / str(version), recipe=recipe)
        (tmp_path / "letters").mkdir(exist_ok=True)
        folder.rename(tmp_path / "letters" / str(version))
    found = [(one.recipe, one.numbers, one.folder.name) for one in recorded_packages(tmp_path / "letters")]
    assert found == [("tiny", "fp32", "2"), ("tiny", "int8", "3"), ("other", "fp32", "4")]
