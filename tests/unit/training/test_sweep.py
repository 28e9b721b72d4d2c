import json
import re

import pytest

from training.sweep import main
from training.task import TrainingError

PIMA = ["pima", "--recipe", "seed", "--epochs", "2", "--jobs", "2"]


def test_a_sweep_ends_with_a_table_of_every_seed_and_the_spread_and_records_it(tmp_path, capsys):
    places = ["--checkpoints", str(tmp_path / "checkpoints"), "--results", str(tmp_path / "results")]
    main([*PIMA, "--seeds", "2", "--first-seed", "4", "--record", *places])

    result = json.loads((tmp_path / "results" / "pima_seed.json").read_text("utf-8"))
    assert [run["seed"] for run in result["runs"]] == [4, 5]
    assert all(run["accuracy"] == run["correct"] / run["rows"] for run in result["runs"])
    sweep = result["sweep"]
    assert sweep["command"] == "signet-train sweep pima --recipe seed --seeds 2 --first-seed 4 --epochs 2"
    assert sweep["parameters"] == 221

    printed = capsys.readouterr().out
    for run in result["runs"]:
        assert re.search(rf"\b{run['seed']} .* {run['accuracy']:.2%} .* {run['correct']} .* 68 ", printed)
    for name in ("median", "mean", "lowest", "highest", "spread"):
        assert re.search(rf"{name} .* {sweep['accuracy'][name]:.2%} ", printed)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_seed_that_cannot_be_trained_ends_the_sweep_with_its_sentence(tmp_path):
    with pytest.raises(TrainingError, match=r"seed [12]: nothing\.csv: No such file"):
        main([*PIMA, "--seeds", "2", "--data", "nothing.csv", "--checkpoints", str(tmp_path)])


def test_a_process_that_fails_without_a_sentence_ends_the_sweep_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "no such backend")
    with pytest.raises(TrainingError, match=r"a process of the sweep ended with 1: .*no such backend"):
        main([*PIMA, "--seeds", "2", "--checkpoints", str(tmp_path)])
