"""Many callers at once: each gets its own answer, and nobody waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from serving.inference.session import OnnxSession, SessionSettings
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import array_of, letters, status_of
from tests.running_server import running_server


@pytest.fixture(scope="module")
def in_process():
    session = OnnxSession.open(tiny.linear_model(), SessionSettings(intra_op_threads=1))
    return lambda rows: session.run({"x": rows})["y"]


def test_sixteen_callers_with_distinct_rows_get_their_own_answers(signet, in_process):
    barrier = threading.Barrier(16)

    def call(caller: int) -> None:
        generator = np.random.default_rng(caller)
        barrier.wait()
        for _ in range(30):
            rows = generator.normal(size=(generator.integers(1, 5), 3)).astype(np.float32)
            answer = signet.prediction.Predict(letters(rows, return_outputs=True, id=str(caller)))
            assert answer.id == str(caller)
            np.testing.assert_allclose(array_of(answer.outputs[0]), in_process(rows), rtol=1e-6)

    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(call, caller) for caller in range(16)]:
            done.result(60)


def test_a_request_larger_than_a_run_is_split_and_answered_whole(signet, in_process):
    rows = np.random.default_rng(0).normal(size=(333, 3)).astype(np.float32)
    answer = signet.prediction.Predict(letters(rows, return_outputs=True))
    assert len(answer.predictions) == 333
    np.testing.assert_allclose(array_of(answer.outputs[0]), in_process(rows), rtol=1e-6)


def test_a_deadline_that_passes_ends_the_call(signet):
    assert (
        status_of(signet.prediction.Predict, letters([[1, 2, 3]]), timeout=1e-9)[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    )


@pytest.fixture
def slow(tmp_path):
    """A server whose model `slow` takes long for a row, and that lets four rows wait."""
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    with running_server(tmp_path, queue_rows=4, max_request_rows=4, max_batch_rows=1) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()


def test_a_full_queue_refuses_with_a_hint_when_to_come_back(slow):
    calls = [slow.prediction.Predict.future(tiny.slow_request()) for _ in range(40)]
    refused = [call for call in calls if call.exception()]
    assert 0 < len(refused) < 40
    for call in refused:
        assert call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "rows are waiting and 1 more would pass the limit of 4" in call.details()
        trailers = dict(call.trailing_metadata())
        assert int(trailers["grpc-retry-pushback-ms"]) >= 1
        retry = error_details_pb2.RetryInfo()
        assert status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details[0].Unpack(retry)
        assert retry.retry_delay.ToMilliseconds() == int(trailers["grpc-retry-pushback-ms"])


def test_callers_who_left_make_room_in_the_queue(slow):
    for _ in range(5):
        calls = [slow.prediction.Predict.future(tiny.slow_request()) for _ in range(4)]
        for call in calls:
            call.cancel()
    assert slow.prediction.Predict(tiny.slow_request(), wait_for_ready=True).outputs
