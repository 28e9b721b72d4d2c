"""`signet-serve` starts, or says in a line for each reason why not, by its exit code too."""

import signal
import sys

import pytest

from tests import tiny_models as tiny
from tests.contract.serving_process import run_to_end, serving

FREE_PORTS = ("--port", "0", "--metrics-port", "0")

TELL_ON_SIGUSR1 = """
import gc, signal, sys
def tell(*_):
    print(f"switch interval {sys.getswitchinterval()}, collector {gc.isenabled()}", file=sys.stderr, flush=True)
signal.signal(signal.SIGUSR1, tell)
"""


@pytest.fixture
def models(tmp_path):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model())
    return tmp_path


def test_a_second_server_on_a_port_that_is_taken_does_not_start(models):
    with serving(models) as (_, port):
        second = run_to_end("--models", str(models), "--port", str(port), "--metrics-port", "0")
        third = run_to_end("--models", str(models), "--port", "0", "--metrics-port", str(port))
    assert (second.returncode, third.returncode) == (1, 1)
    assert f"signet-serve: port: 127.0.0.1:{port} cannot be listened on; is it taken?" in second.stderr
    assert f"signet-serve: metrics_port: 127.0.0.1:{port} cannot be listened on" in third.stderr
    assert "Traceback" not in second.stderr + third.stderr


def test_every_bad_setting_is_reported_at_once(models):
    ended = run_to_end("--models", str(models), "--port", "70000", SIGNET_MAX_BATCH_ROWS="none")
    assert ended.returncode == 2
    assert "port (--port, SIGNET_PORT): '70000' came" in ended.stderr
    assert "max_batch_rows (--max-batch-rows, SIGNET_MAX_BATCH_ROWS): 'none' came" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_repository_that_is_not_there_is_named(tmp_path):
    ended = run_to_end("--models", str(tmp_path / "nowhere"), *FREE_PORTS)
    assert ended.returncode == 1
    assert "nowhere is no folder" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_cuda_asked_for_and_not_there_refuses_to_start(models):
    ended = run_to_end("--models", str(models), "--providers", "cuda", *FREE_PORTS)
    assert ended.returncode == 1
    assert "providers=cuda was asked for, but " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_traces_asked_for_without_the_library_are_refused_with_what_to_install(models, tmp_path_factory):
    # As if it were not there: this package is found before the real one.
    folder = tmp_path_factory.mktemp("hidden")
    (folder / "opentelemetry.py").write_text("raise ImportError('no OpenTelemetry')")
    flags = ("--models", str(models), "--trace-endpoint", "127.0.0.1:4317", *FREE_PORTS)
    ended = run_to_end(*flags, PYTHONPATH=str(folder))
    assert ended.returncode == 1
    assert "trace_endpoint: traces need OpenTelemetry; install signet[tracing], or leave it empty" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGUSR1")
def test_once_it_serves_the_interpreter_switches_threads_as_usual_and_collects(models, tmp_path_factory, monkeypatch):
    # Python imports this module before all others.
    folder = tmp_path_factory.mktemp("told")
    (folder / "sitecustomize.py").write_text(TELL_ON_SIGUSR1)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    with serving(models) as (process, _):
        assert process.stderr
        # The line that says that it serves may come before the very end of the start, which enables the collector.
        for _ in range(1_000):
            process.send_signal(signal.SIGUSR1)
            told = next(line for line in process.stderr if "switch interval" in line)
            if "collector True" in told:
                break
    assert told == f"switch interval {sys.getswitchinterval()}, collector True\n"
