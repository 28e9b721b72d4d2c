import json

import pytest

from training.results import write_result
from training.seed_results import SeedResults, seed_results


def _file(folder, told):
    (folder / "tides_tiny.json").write_text(told if isinstance(told, str) else json.dumps(told))
    return folder


def test_the_accuracies_of_a_sweep_come_with_their_median_and_ends(tmp_path):
    done = [{"seed": seed, "accuracy": accuracy} for seed, accuracy in enumerate((0.7, 0.9, 0.6))]
    write_result(tmp_path, "tides", "tiny", {"runs": done})
    assert seed_results(tmp_path, "tides", "tiny") == SeedResults([0.7, 0.9, 0.6], 0.7, 0.6, 0.9)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param("{", id="no JSON"),
        pytest.param([], id="a list"),
        pytest.param({"run": {"seed": 1}}, id="a run alone"),
        pytest.param({"runs": [{"seed": 1, "accuracy": 0.5}]}, id="one seed"),
        pytest.param({"runs": [1, 2, 3]}, id="seeds without accuracies"),
        pytest.param({"runs": 7}, id="a number"),
    ],
)
def test_a_file_without_a_spread_tells_of_none(tmp_path, told):
    assert seed_results(_file(tmp_path, told), "tides", "tiny") is None


def test_no_file_tells_of_none(tmp_path):
    assert seed_results(tmp_path, "tides", "tiny") is None
