"""In a process that serves, the threads that talk to callers come before those that a model's runs go to."""

import os
from pathlib import Path

import grpc

from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from serving.inference.core_order import SLICE_NANOSECONDS
from tests import tiny_models as tiny
from tests.contract.serving_process import serving
from tests.contract.serving_workers import two_workers
from tests.slices import needs_slices, slice_nanoseconds


def ask(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        PredictionStub(channel).Predict(tiny.slow_request(), timeout=30)


def slices_of_runs(pid: int) -> set[int]:
    """Of the process's threads that wait while others work, in nanoseconds."""
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return {slice_nanoseconds(one) for one in threads if os.sched_getscheduler(one) == os.SCHED_BATCH}


@needs_slices
def test_the_event_loop_has_the_shortest_slice_and_runs_the_usual_one(tmp_path):
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    with serving(tmp_path) as (process, port):
        ask(port)
        assert slice_nanoseconds(process.pid) == SLICE_NANOSECONDS
        assert slices_of_runs(process.pid) == {slice_nanoseconds(0)}


@needs_slices
def test_the_event_loop_of_each_of_two_workers_has_the_shortest_slice(tmp_path):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model())
    with two_workers(tmp_path) as workers:
        assert [slice_nanoseconds(pid) for pid in workers.pids.values()] == [SLICE_NANOSECONDS] * 2
