"""`signet load-test` and a real server: its numbers, its files, its exit code."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.client.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(signet, tmp_path, monkeypatch, capsys):
    """Run `signet load-test` with these arguments against the server; (exit code, stdout, stderr)."""

    def run_signet(*arguments):
        monkeypatch.chdir(tmp_path)
        address = ("--address", f"127.0.0.1:{signet.server.port}")
        monkeypatch.setattr(sys, "argv", ["signet", "load-test", *map(str, arguments), *address])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run_signet


SHORT = ("--seconds", 0.5, "--rate", 100)


def test_json_tells_that_every_call_was_answered_rightly(run):
    code, out, errors = run("letters", *SHORT, "--json")
    assert (code, errors) == (0, "step 1 of 1, 100 calls/s: 0 %, 0 s left\n")
    told = json.loads(out)
    step = told["steps"][0]
    assert told["finished"] is True
    assert step["ok"] == step["calls"] > 20
    assert set(step["accepted_ms"]) == {"p50", "p90", "p95", "p99", "p99.9", "max"}


def test_a_mix_of_models_and_rows_is_told_by_model(run):
    code, out, _ = run("--mix", "sums=3", "shades=1", *SHORT, "--rows", "1,7", "--json", "--connections", 2)
    step = json.loads(out)["steps"][0]
    assert code == 0
    assert step["by_model"]["sums"]["ok"] > step["by_model"]["shades"]["ok"] > 0
    assert step["goodput_rows_per_second"] > 2 * step["goodput_calls_per_second"]


@pytest.mark.parametrize("model", ["pairs", "centred", "fixed", "gather", "coin", "letters"])
def test_answers_are_right_whatever_the_model_takes_and_gives(run, model):
    rows = "1" if model == "fixed" else "1,3"
    code, out, errors = run(model, *SHORT, "--rows", rows, "--json")
    assert code == 0, errors
    step = json.loads(out)["steps"][0]
    assert step["ok"] == step["calls"] > 0


def test_a_ramp_has_a_row_a_step_and_models_may_stand_behind_flags(run):
    code, out, _ = run("--rate", "50..150", "--steps", 3, "--seconds", 0.3, "letters")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split()[:5] == ["step", "model", "calls/s", "calls", "ok"]
    assert [line.split()[:2] for line in lines[1:4]] == [[str(step), "letters"] for step in (1, 2, 3)]
    assert lines[-1] == "every answer was checked, none was wrong"


def test_a_missed_expectation_ends_with_1_and_says_what_came(run):
    code, out, _ = run("letters", *SHORT, "--expect-p99-ms", 0.001, "--max-late-ms", 10_000)
    assert code == 1
    assert "FAILED: step 1 at 100 calls/s: a p99 of " in out


def test_expectations_that_come_true_end_with_0(run):
    expected = ("--expect-p99-ms", 10_000, "--expect-goodput", "50%", "--max-errors", 0, "--max-late-ms", 10_000)
    assert run("letters", *SHORT, *expected)[0] == 0


def test_calls_past_their_deadline_are_errors(run):
    code, out, _ = run("letters", *SHORT, "--deadline-ms", 0.001, "--max-errors", 0, "--json")
    assert code == 1
    assert json.loads(out)["steps"][0]["deadline"] > 0


def test_html_is_a_page_with_charts(run, tmp_path):
    code, _, _ = run("letters", *SHORT, "--html", "page.html")
    assert code == 0
    assert (tmp_path / "page.html").read_text("utf-8").count("<svg") == 2


def test_rows_come_from_the_package_of_the_version_that_is_served(run, repository, tmp_path):
    folder = shutil.copytree(repository / "sums" / "1", tmp_path / "models" / "sums" / "1")
    arrays: dict[str, Any] = {"input.features": np.eye(3, dtype=np.float32), "truth": np.ones(3, int)}
    np.savez(folder / "evaluation.npz", **arrays)
    (folder / "report").mkdir()
    (folder / "report" / "report.json").write_text(json.dumps({"metrics": {"accuracy": 1.0}}))
    code, out, errors = run("sums", *SHORT, "--rows", "1,5", "--packages", "models", "--json")
    assert code == 0, errors
    assert json.loads(out)["steps"][0]["ok"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("nope",), 1, "nope"),
        (("corrupt",), 1, "FAILED"),
        (("text",), 1, "--packages"),
        (("scalar",), 1, "rows on a free axis 0"),
        (("letters", "--packages", "none"), 1, "manifest.json: cannot be read"),
        (("letters", "--rows", "501"), 1, "500"),
        (("letters", "--mix", "sums=1"), 1, "one of them was expected"),
        (("letters", "--rate", "1..2"), 1, "--steps"),
        (("letters", "--html", "no/page.html"), 1, "no/page.html: there is no folder no"),
        (("letters", "--rate", "0"), 2, "calls a second"),
        (("letters", "--colour"), 2, "--colour"),
    ],
    ids=[
        "unknown model",
        "broken model",
        "strings",
        "no rows axis",
        "no package",
        "too many rows",
        "models twice",
        "ramp of one step",
        "no folder",
        "no rate",
        "unknown flag",
    ],
)
def test_what_cannot_be_is_one_clear_error(run, arguments, code, text):
    got, _, errors = run(*arguments)
    assert got == code
    assert text in errors
    assert "Traceback" not in errors


def test_ctrl_c_prints_what_there_is(signet):
    command = [sys.executable, "-m", "serving.client", "load-test", "letters", "--seconds", "600"]
    # A shell starts background jobs with SIGINT ignored, and children inherit that; one with a handler they do not.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*command, "--address", f"127.0.0.1:{signet.server.port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    signal.signal(signal.SIGINT, before)
    assert process.stderr
    begun = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert begun.startswith("step 1 of 1")
    assert (process.returncode, errors) == (130, "")
    assert "stopped before its end: calls that had not ended are not counted" in out


def test_help_explains_every_flag(run):
    code, out, _ = run("--help")
    flags = out.split("options:")[1].replace("\n  -h", "").split("\n  -")[1:]
    assert code == 0
    assert len(flags) > 15
    assert [flag for flag in flags if len(flag.split()) < 4] == []
