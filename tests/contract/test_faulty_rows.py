"""Rows that the model fails on: their caller gets the error, those who shared the run get their answers."""

import grpc
import numpy as np
import pytest

from protos.signet.v1.prediction_pb2 import PredictRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import array_of, raw_tensor, status_of
from tests.running_server import running_server

CALLERS = 48
BAD = 99
BURSTS = 40
"""Many more than it takes until a bad row shares a run."""
BEFORE = [0] * 8000
"""What keeps the model busy while a burst comes."""


@pytest.fixture
def gather(tmp_path):
    """A server of `gather`, which fails on BAD."""
    tiny.put_bare(tmp_path, "gather", tiny.gather_model())
    with running_server(tmp_path) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()


def split_runs(gather) -> float:
    name, labels = "signet_split_runs_total", {"model": "gather", "version": "1"}
    return gather.server.metrics.registry.get_sample_value(name, labels) or 0.0


def ask(gather, indices: list[int]):
    tensor = raw_tensor("index", np.array(indices, np.int64)[:, None])
    return gather.prediction.Predict.future(PredictRequest(model="gather", tensors=[tensor]), timeout=60)


def check(call, indices: list[int]) -> None:
    if BAD in indices:
        text = "the model failed on this input (INVALID_ARGUMENT)"
        assert status_of(call.result) == (grpc.StatusCode.INVALID_ARGUMENT, text)
    else:
        assert array_of(call.result().outputs[0]).ravel().tolist() == [10 * (index + 1) for index in indices]


@pytest.mark.parametrize("rows", [1, 3], ids=["one row each", "three rows each"])
def test_only_the_callers_of_bad_rows_get_errors_and_the_splits_are_counted(gather, rows, transport):
    for burst in range(BURSTS):
        asked = [[(caller + row) % 3 for row in range(rows)] for caller in range(CALLERS)]
        asked[burst % CALLERS][-1] = asked[CALLERS // 2][0] = BAD
        for call, indices in [(ask(gather, indices), indices) for indices in (BEFORE, *asked)]:
            check(call, indices)
        if split_runs(gather):
            return
    # grpc.aio brings calls one by one, and a model as cheap as this runs each at once: rows may never share a run.
    assert transport == "aio", f"in {BURSTS} bursts no bad row shared a run"


def test_a_large_request_with_one_bad_row_fails_whole_and_its_neighbours_do_not(gather):
    indices = [0] * 300
    indices[150] = BAD
    calls = [(ask(gather, wanted), wanted) for wanted in ([1, 2], indices, [2], [0] * 100)]
    for call, wanted in calls:
        check(call, wanted)


def test_a_server_that_met_bad_rows_goes_on_as_before(gather):
    check(ask(gather, [BAD]), [BAD])
    check(ask(gather, [0, 1, 2]), [0, 1, 2])
