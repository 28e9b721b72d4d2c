"""`signet-serve` ends with a code and a sentence where it cannot start: 1 for the machine, 2 for the settings."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from serving.inference.providers import CPU, ProviderSettings
from serving.inference.session import check_provider

COMMAND = (sys.executable, "-m", "serving")
ROOT = Path(__file__).parents[3]
FREE_PORTS = ("--port", "0", "--metrics-port", "0")


def environment() -> dict[str, str]:
    """This process's, without settings of the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SIGNET_")}


def ended(*flags: str) -> tuple[int, str]:
    """Exit code and what `signet-serve` complained of, logs left out."""
    done = subprocess.run(
        [*COMMAND, *flags], env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, "\n".join(line for line in done.stderr.splitlines() if line.startswith("signet-serve: "))


@pytest.mark.skipif(check_provider(ProviderSettings("auto")) != CPU, reason="here CUDA can be had")
def test_cuda_asked_for_and_not_to_be_had_is_refused_with_the_reason(tmp_path):
    code, text = ended("--models", str(tmp_path), "--providers", "cuda", *FREE_PORTS)
    assert code == 1
    assert text.startswith("signet-serve: providers=cuda was asked for, but the installed onnxruntime has only ")
    assert text.endswith("install onnxruntime-gpu in place of onnxruntime, or ask for cpu or auto")


def test_a_repository_that_is_not_there_is_named(tmp_path):
    missing = tmp_path / "missing"
    assert ended("--models", str(missing), *FREE_PORTS) == (1, f"signet-serve: models: {missing} is no folder")


@pytest.mark.parametrize("flag", ["--port", "--metrics-port"])
def test_a_taken_port_is_named(tmp_path, flag):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, text = ended("--models", str(tmp_path), *FREE_PORTS, flag, port)
    assert code == 1
    name = flag.strip("-").replace("-", "_")
    assert text.startswith(f"signet-serve: {name}: 127.0.0.1:{port} cannot be listened on")


def test_bad_settings_are_told_together_and_end_with_2():
    code, text = ended("--port", "70000", "--providers", "tpu")
    assert code == 2
    assert "signet-serve: port (--port, SIGNET_PORT): '70000' came" in text
    assert "signet-serve: providers (--providers, SIGNET_PROVIDERS): 'tpu' came" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_that_was_asked_for_ends_with_0(tmp_path, number):
    with subprocess.Popen(
        [*COMMAND, "--models", str(tmp_path), "--allow-empty", "--log-format", "json", *FREE_PORTS],
        env=environment(),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        assert any('"event": "serving"' in line for line in program.stderr)
        program.send_signal(number)
        rest = program.stderr.read()
        assert program.wait(60) == 0
    assert "Traceback" not in rest
