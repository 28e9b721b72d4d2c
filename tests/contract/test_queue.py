"""The queue's promises to callers: who is refused at the door, who leaves without a run, which runs end early."""

from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from protos.signet.v1.models_pb2 import ListModelsRequest
from protos.signet.v1.prediction_pb2 import PredictRequest
from tests import tiny_models as tiny
from tests.contract import open_inference
from tests.contract.conftest import connect
from tests.contract.requests import raw_tensor
from tests.running_server import running_server

WAITING_ROWS = 600
"""Of `slow`: many seconds of work."""

RUN_ROWS = 32
"""Of `slow`: a second of work, more or less."""


@pytest.fixture
def slow(tmp_path):
    """A server whose model `slow` takes long for a row, and takes 4 rows a run."""
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    with running_server(tmp_path, max_batch_rows=4, queue_rows=1000, max_request_rows=1000) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()


def ask(slow, rows: int, timeout: float | None) -> Any:
    request = PredictRequest(model="slow", tensors=[raw_tensor("x", np.ones((rows, 2), np.float32))])
    return slow.prediction.Predict.future(request, timeout=timeout)


def figure(slow, name: str) -> float:
    return slow.server.metrics.registry.get_sample_value(name, {"model": "slow", "version": "1"}) or 0.0


def wait_for_rows(slow, name: str, least: float) -> None:
    """Call the server until its figure is there."""
    for _ in range(10_000):
        if figure(slow, name) >= least:
            return
        slow.models.ListModels(ListModelsRequest(), timeout=60)
    raise AssertionError(f"{name} never came to {least}")


def test_a_call_that_cannot_be_answered_in_time_is_refused_at_once_with_when_it_could_be(slow):
    for _ in range(3):
        ask(slow, 4, 60).result()
    crowd = ask(slow, WAITING_ROWS, 120)
    wait_for_rows(slow, "signet_queue_rows", 1)
    late = ask(slow, 1, 2)
    assert late.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "rows are waiting, so that these would be answered in" in late.details()
    retry = error_details_pb2.RetryInfo()
    details = dict(late.trailing_metadata())["grpc-status-details-bin"]
    assert status_pb2.Status.FromString(details).details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() > 1
    crowd.cancel()


def test_a_call_that_waits_is_in_flight_until_it_ends(slow):
    def in_flight() -> float | None:
        return slow.server.metrics.registry.get_sample_value("signet_requests_in_flight")

    crowd = [ask(slow, WAITING_ROWS // 2, 120) for _ in range(2)]
    wait_for_rows(slow, "signet_queue_rows", WAITING_ROWS // 2 + 1)
    assert in_flight() == len(crowd)
    for one in crowd:
        one.cancel()
    for _ in range(10_000):
        if in_flight() == 0:
            return
        slow.models.ListModels(ListModelsRequest(), timeout=60)
    raise AssertionError(f"{in_flight()} calls are still in flight, though nobody waits")


def test_the_rest_of_a_request_whose_caller_left_is_not_run(slow):
    crowd = ask(slow, WAITING_ROWS, 120)
    wait_for_rows(slow, "signet_queue_rows", 1)
    crowd.cancel()
    assert ask(slow, 1, 60).result().outputs
    assert figure(slow, "signet_rows_total") < WAITING_ROWS


def test_a_run_that_nobody_waits_for_ends_before_its_time(tmp_path):
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    with running_server(tmp_path, max_batch_rows=RUN_ROWS) as server:
        connection = connect(server)
        leaving = ask(connection, RUN_ROWS, 120)
        wait_for_rows(connection, "signet_queue_seconds_count", 1)
        leaving.cancel()
        assert ask(connection, 1, 60).result().outputs
        assert figure(connection, "signet_rows_total") == 1
        connection.channel.close()


def test_the_server_s_limit_of_time_ends_a_call_that_has_none_of_its_own(tmp_path):
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    with running_server(tmp_path, max_batch_rows=RUN_ROWS, max_request_seconds=0.125) as server:
        connection = connect(server)
        call = ask(connection, RUN_ROWS, None)
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert "the deadline passed in a run, 0.1" in call.details()
        assert figure(connection, "signet_rows_total") == 0
        connection.channel.close()


def test_the_timeout_in_a_message_is_told_when_it_passes_and_not_when_the_run_of_others_ends(tmp_path):
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    with running_server(tmp_path, max_batch_rows=RUN_ROWS) as server:
        connection = connect(server)
        crowd = ask(connection, RUN_ROWS, 120)
        wait_for_rows(connection, "signet_queue_seconds_count", 1)
        request = open_inference.raw("slow", [[1, 1]], parameters=open_inference.dict_of({"timeout": 50_000}))
        call = open_inference.stub(connection).ModelInfer.future(request, timeout=120)
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert "the deadline passed after 0.0" in call.details()
        assert not crowd.done()
        assert crowd.result().outputs
        connection.channel.close()
