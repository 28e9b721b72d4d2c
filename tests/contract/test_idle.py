"""What callers leave behind them: soon no work for a server that nobody asks, and nothing of their calls."""

import gc
import os
import time
from pathlib import Path
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from serving.inference.cores import available_cores
from serving.rpc.methods import Call
from tests import tiny_models as tiny
from tests.contract.requests import letters
from tests.contract.serving_process import serving, serving_and_scraped
from tests.process_figures import process_figures
from tests.running_server import running_server

ROWS = np.eye(3, dtype=np.float32)
CALLS = 200
IDLE_SECONDS = 1.0
MIB = 2**20
LARGE_CALLS = 100
CLOCK_TICKS = 100


@pytest.fixture
def models(tmp_path: Path) -> Path:
    tiny.put_bare(tmp_path / "models", "letters", tiny.linear_model(), labels=["a", "b", "c"])
    return tmp_path / "models"


def ask(port: int, calls: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = PredictionStub(channel)
        for _ in range(calls):
            assert stub.Predict(letters(ROWS), timeout=10).predictions[0].label == "a"


def ask_in_vain(port: int, calls: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = PredictionStub(channel)
        for _ in range(calls):
            with pytest.raises(grpc.RpcError) as refused:
                stub.Predict(letters(ROWS[:, :2]), timeout=10)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def ask_too_much(port: int, calls: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = PredictionStub(channel)
        for _ in range(calls):
            with pytest.raises(grpc.RpcError):
                stub.Predict(letters(np.zeros((MIB // 12, 3))), timeout=10)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells the time of a process by /proc")
def test_a_server_that_nobody_asks_any_more_rests_though_calls_came_close_to_each_other(models, transport):
    with serving(models, "--transport", transport) as (process, port):
        ask(port, CALLS)
        before = cpu_seconds(process.pid)
        time.sleep(IDLE_SECONDS)
        assert cpu_seconds(process.pid) - before < IDLE_SECONDS / 4


@pytest.mark.skipif(available_cores() == 1, reason="on one core the caller needs it")
def test_the_native_front_is_looked_at_for_a_while_after_calls_that_came_close_to_each_other(models, monkeypatch):
    monkeypatch.setattr("serving.rpc.native_transport.AWAKE_SECONDS", 60.0)
    with running_server(models, transport="native", max_batch_rows=3) as server:
        ask(server.port, CALLS)
        before = time.process_time()
        time.sleep(IDLE_SECONDS)
        assert time.process_time() - before > IDLE_SECONDS / 4


def collections(metrics_port: int) -> float:
    with urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10) as response:
        families = {one.name: one.samples for one in text_string_to_metric_families(response.read().decode())}
    return next(one.value for one in families["python_gc_collections"] if one.labels["generation"] == "0")


def test_the_collector_which_the_start_does_without_is_at_work_afterwards(models):
    # What gRPC leaves of refused calls, which the native front does not.
    with serving_and_scraped(models, "--transport", "aio") as (_, port, metrics_port):
        before = collections(metrics_port)
        ask_in_vain(port, 1000)
        assert collections(metrics_port) > before


@pytest.mark.parametrize("calls", [ask, ask_in_vain])
def test_nothing_of_a_call_that_ended_waits_for_the_collector(models, calls):
    with running_server(models) as server:
        gc.collect()
        gc.disable()
        try:
            calls(server.port, CALLS)
            # The last one may still be on its way out.
            assert len([one for one in gc.get_objects() if isinstance(one, Call)]) <= 1
        finally:
            gc.enable()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the memory of a process by /proc")
def test_the_rows_of_a_refused_call_go_with_it(models):
    with running_server(models, max_request_rows=10) as server:
        ask_too_much(server.port, LARGE_CALLS // 10)
        gc.disable()
        try:
            before = process_figures(os.getpid()).resident_mib
            ask_too_much(server.port, LARGE_CALLS)
            assert process_figures(os.getpid()).resident_mib - before < LARGE_CALLS / 2
        finally:
            gc.enable()
