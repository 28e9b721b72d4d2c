"""`signet-serve tune` measures a model, prints a table and the settings that follow from it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from serving.tune import AUTO, CannotTune, Point, choose, find_model, measure, thread_counts, tune
from tests import tiny_models as tiny


def test_the_settings_of_a_model_are_printed_below_a_table(tmp_path, capsys):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model())
    assert tune(["letters", "--models", str(tmp_path)]) is None
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"signet-serve( --intra-op-threads \d+)? --max-batch-rows \d+", lines[-1])
    assert any("ms a run" in line and "efficiency" in line for line in lines)
    assert sum("best" in line for line in lines) == 1


def test_it_is_a_verb_of_signet_serve(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "serving", "tune", "none", "--models", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    text = f"signet-serve: tune: none: neither a model in {tmp_path} nor the path of a package or an ONNX file\n"
    assert (done.returncode, done.stderr) == (1, text)


def test_a_model_is_found_by_name_and_by_path(tmp_path):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model())
    newest = tiny.put_bare(tmp_path, "letters", tiny.linear_model(), version=2) / "model.onnx"
    for name in ("letters", str(tmp_path / "letters"), str(newest.parent), str(newest)):
        assert find_model(name, tmp_path) == newest


def test_a_file_that_is_no_model_is_told(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"none")
    assert tune([str(file)]) == f"tune: {file}: onnxruntime cannot load it (INVALID_PROTOBUF)"


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf"])
def test_a_time_that_is_none_is_refused(text, capsys):
    with pytest.raises(SystemExit, match="2"):
        tune(["letters", f"--p99-ms={text}"])
    assert f"'{text}' came; milliseconds over 0 were expected" in capsys.readouterr().err


@pytest.mark.parametrize(("cores", "threads"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_threads_are_doubled_up_to_the_cores(cores, threads):
    assert thread_counts(cores) == threads


def test_a_model_of_fixed_rows_is_measured_with_them(tmp_path):
    model = tiny.put_bare(tmp_path, "pair", tiny.fixed_batch_model(2)) / "model.onnx"
    assert [(point.rows, point.threads) for point in measure(Path(model), [1])] == [(2, AUTO), (2, 1)]


POINTS = [
    Point(1, 1, 1.0),
    Point(1, 2, 0.8),
    Point(16, 1, 8.0),
    Point(16, 2, 4.2),
    Point(64, 1, 32.0),
    Point(64, 2, 16.5),
]


@pytest.mark.parametrize(
    ("p99_ms", "rows", "threads"),
    [
        pytest.param(None, 16, 2, id="without a time, the fewest rows with about the most a second"),
        pytest.param(100.0, 64, 2, id="the largest run that fits twice"),
        pytest.param(33.0, 64, 2, id="it fits twice exactly"),
        pytest.param(20.0, 16, 2, id="a time too short for the largest run"),
        pytest.param(2.0, 1, 2, id="a time for one row only"),
    ],
)
def test_settings_follow_from_what_was_measured(p99_ms, rows, threads):
    best = choose(POINTS, p99_ms)
    assert (best.rows, best.threads) == (rows, threads)


def test_threads_that_bring_little_are_not_taken():
    assert choose([Point(16, 1, 8.0), Point(16, 2, 7.5)], None).threads == 1


def test_what_the_server_chooses_is_left_to_it_where_that_is_about_as_fast():
    assert choose([Point(16, AUTO, 4.4), *POINTS], None).threads == AUTO
    assert choose([Point(16, AUTO, 6.0), *POINTS], None).threads == 2
    # 16 rows in 4.2 ms are just within a tenth of the most rows a second, in 4.4 ms not.
    assert choose([Point(16, AUTO, 4.4), *POINTS, Point(64, 4, 15.2)], None) == Point(16, AUTO, 4.4)


def test_a_time_shorter_than_two_runs_is_told():
    with pytest.raises(
        CannotTune, match=r"--p99-ms is 1, but a caller may wait for two runs, and the shortest takes 0.8"
    ):
        choose(POINTS, 1.0)
