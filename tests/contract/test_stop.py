"""`signet-serve` starts or says why not, and stops without losing a call."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.contract.requests import letters


@contextmanager
def serving(models, *flags: str):
    """`signet-serve` in a process of its own; gives it and its port once it serves."""
    command = [sys.executable, "-m", "serving", "--models", str(models), "--port", "0", "--metrics-port", "0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        port = next(
            int(found[1])
            for line in process.stderr
            if "serving" in line and (found := re.search(r"\bport=(\d+)", line))
        )
        yield process, port
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def models(tmp_path):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    return tmp_path


def test_sigterm_lets_the_calls_in_flight_finish(models):
    with (
        serving(models, "--max-batch-rows", "1") as (process, port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = PredictionStub(channel)
        stub.Predict(tiny.slow_request())
        calls = [stub.Predict.future(tiny.slow_request()) for _ in range(16)]
        calls[0].result(30)
        process.send_signal(signal.SIGTERM)
        assert [len(call.result(30).outputs) for call in calls] == [1] * 16
        assert process.wait(30) == 0


def test_in_the_lame_duck_time_health_says_no_and_calls_are_still_answered(models):
    with (
        serving(models, "--lame-duck-seconds", "60") as (process, port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        watch = HealthStub(channel).Watch(HealthCheckRequest(), timeout=30)
        assert next(watch).status == HealthCheckResponse.SERVING
        process.send_signal(signal.SIGTERM)
        assert next(watch).status == HealthCheckResponse.NOT_SERVING
        assert PredictionStub(channel).Predict(letters([[0, 9, 0]])).predictions[0].label == "b"


def run_to_end(*flags: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "serving", *flags],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_port_that_is_taken_is_named(models):
    with serving(models) as (_, port):
        ended = run_to_end("--models", str(models), "--port", str(port), "--metrics-port", "0")
    assert ended.returncode == 1
    assert f"signet-serve: port: 127.0.0.1:{port} cannot be listened on; is it taken?" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_bad_setting_is_reported_at_once(models):
    ended = run_to_end("--models", str(models), "--port", "70000", SIGNET_MAX_BATCH_ROWS="none")
    assert ended.returncode == 2
    assert "port (--port, SIGNET_PORT): '70000' came" in ended.stderr
    assert "max_batch_rows (--max-batch-rows, SIGNET_MAX_BATCH_ROWS): 'none' came" in ended.stderr


def test_a_repository_that_is_not_there_is_named(tmp_path):
    ended = run_to_end("--models", str(tmp_path / "nowhere"), "--port", "0", "--metrics-port", "0")
    assert ended.returncode == 1
    assert "nowhere is no folder" in ended.stderr


def test_cuda_asked_for_and_not_there_refuses_to_start(models):
    ended = run_to_end("--models", str(models), "--providers", "cuda", "--port", "0", "--metrics-port", "0")
    assert ended.returncode == 1
    assert "providers=cuda was asked for, but the installed onnxruntime has only" in ended.stderr


def test_a_stop_that_comes_at_once_is_a_clean_one(models):
    with serving(models) as (process, _):
        threading.Thread(target=process.send_signal, args=[signal.SIGINT]).start()
        assert process.wait(30) == 0
