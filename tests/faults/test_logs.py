"""The log never stops the server: not a pipe that nobody reads, not a full disk."""

import signal
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest

from protos.signet.v1.prediction_pb2 import PredictRequest
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from serving.shared_port import HeldPort
from tests import tiny_models as tiny
from tests.contract.requests import letters, raw_tensor, status_of
from tests.contract.serving_process import serving

REFUSALS = 2000
"""Several times as many lines as a pipe of 64 KiB holds."""

ROW = [[0, 9, 0]]


@pytest.fixture
def models(tmp_path):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    tiny.put_bare(tmp_path, "gather", tiny.gather_model())
    return tmp_path


def refusals(predict, request, count=REFUSALS):
    return {status_of(predict, request, timeout=30)[0] for _ in range(count)}


def label(predict):
    return predict(letters(ROW), timeout=60, wait_for_ready=True).predictions[0].label


def test_a_log_that_nobody_reads_hurts_no_caller(models):
    with serving(models) as (process, port), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        predict = PredictionStub(channel).Predict
        assert refusals(predict, letters([[1, 2]])) == {grpc.StatusCode.INVALID_ARGUMENT}
        assert label(predict) == "b"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_runs_that_fail_while_nobody_reads_the_log_hurt_no_caller(models):
    outside = PredictRequest(model="gather", tensors=[raw_tensor("index", np.array([[99]]))])
    with serving(models) as (_, port), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        predict = PredictionStub(channel).Predict
        assert refusals(predict, outside) == {grpc.StatusCode.INVALID_ARGUMENT}
        assert label(predict) == "b"


def test_a_full_disk_for_the_log_hurts_no_caller(models):
    held = HeldPort("127.0.0.1", 0)
    held.close()
    command = [sys.executable, "-m", "serving", "--models", str(models), "--port", str(held.port), "--metrics-port=0"]
    address = f"127.0.0.1:{held.port}"
    with (
        Path("/dev/full").open("wb") as full,
        subprocess.Popen(command, stderr=full) as process,
        grpc.insecure_channel(address) as channel,
    ):
        try:
            predict = PredictionStub(channel).Predict
            assert label(predict) == "b"
            assert refusals(predict, letters([[1, 2]]), 100) == {grpc.StatusCode.INVALID_ARGUMENT}
            assert label(predict) == "b"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
