"""In a process that serves, the threads that talk to callers come before those that a model's runs go to."""

import os
from pathlib import Path

import grpc
import pytest

from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from serving.inference.core_order import NICENESS, SLICE_NANOSECONDS
from tests import tiny_models as tiny
from tests.contract.serving_process import serving
from tests.contract.serving_workers import two_workers
from tests.slices import needs_slices, slice_nanoseconds


@pytest.fixture
def models(tmp_path):
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    return tmp_path


def ask(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        PredictionStub(channel).Predict(tiny.slow_request(), timeout=30)


def slices_of_nicest(pid: int) -> set[int]:
    """Of the process's nicest threads, in nanoseconds."""
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return {slice_nanoseconds(one) for one in threads if os.getpriority(os.PRIO_PROCESS, one) == NICENESS}


@needs_slices
def test_the_event_loop_has_the_shortest_slice_and_runs_the_usual_one(models):
    with serving(models) as (process, port):
        ask(port)
        assert slice_nanoseconds(process.pid) == SLICE_NANOSECONDS
        assert slices_of_nicest(process.pid) == {slice_nanoseconds(0)}


@needs_slices
def test_the_event_loop_of_each_of_two_workers_has_the_shortest_slice(models):
    with two_workers(models) as workers:
        assert [slice_nanoseconds(pid) for pid in workers.pids.values()] == [SLICE_NANOSECONDS] * 2
