"""Many callers at once: each gets its own answer, and nobody waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from protos.signet.v1.models_pb2 import LoadModelRequest
from protos.signet.v1.prediction_pb2 import PredictRequest
from serving.inference.session import OnnxSession, SessionSettings
from serving.rpc.transport import CAPABILITIES
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import array_of, letters, raw_tensor, status_of
from tests.running_server import running_server

WAITING_ROWS = 12
"""Fewer than the native front lets a client cancel at once."""


@pytest.fixture(scope="module")
def in_process():
    session = OnnxSession.open(tiny.linear_model(), SessionSettings(intra_op_threads=1))
    return lambda rows: session.run({"x": rows})["y"]


def all_at_once(call, callers: int = 16) -> None:
    """Run `call(caller)` in a thread for each caller, all from the same moment; raises what any of them raises."""
    barrier = threading.Barrier(callers)

    def begin(caller: int) -> None:
        barrier.wait(60)
        call(caller)

    with ThreadPoolExecutor(callers) as pool:
        for done in [pool.submit(begin, caller) for caller in range(callers)]:
            done.result(60)


def test_sixteen_callers_with_distinct_rows_get_their_own_answers(signet, in_process):
    def ask(caller: int) -> None:
        generator = np.random.default_rng(caller)
        for _ in range(30):
            rows = generator.normal(size=(generator.integers(1, 5), 3)).astype(np.float32)
            answer = signet.prediction.Predict(letters(rows, return_outputs=True, id=str(caller)), timeout=60)
            assert answer.id == str(caller)
            np.testing.assert_allclose(array_of(answer.outputs[0]), in_process(rows), rtol=1e-6)

    all_at_once(ask)


def test_callers_of_an_unbatched_model_get_their_own_answers(signet):
    def ask(caller: int) -> None:
        for count in range(1, 11):
            rows = np.full((count, 2), caller, np.float32)
            rows[0] += count
            request = PredictRequest(model="centred", tensors=[raw_tensor("x", rows)])
            answer = signet.prediction.Predict(request, timeout=60)
            np.testing.assert_allclose(array_of(answer.outputs[0]), rows - rows.mean(axis=0), atol=1e-5)

    all_at_once(ask)


def test_rows_of_other_shapes_are_never_put_into_one_run(signet):
    def ask(caller: int) -> None:
        pictures = np.full((2, 1 + caller % 4, 3), caller, np.float32)
        for _ in range(20):
            request = PredictRequest(model="free", tensors=[raw_tensor("x", pictures)])
            answer = signet.prediction.Predict(request, timeout=60)
            np.testing.assert_array_equal(array_of(answer.outputs[0]), pictures)

    all_at_once(ask)


def test_a_row_that_the_model_fails_on_hurts_only_its_caller(signet):
    indices = [99 if n % 10 == 5 else n % 3 for n in range(300)]
    calls = [
        signet.prediction.Predict.future(
            PredictRequest(model="gather", tensors=[raw_tensor("index", np.array([[index]], np.int64))]), timeout=60
        )
        for index in indices
    ]
    for index, call in zip(indices, calls, strict=True):
        if index == 99:
            assert status_of(call.result) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "the model failed on this input (INVALID_ARGUMENT)",
            )
        else:
            assert array_of(call.result().outputs[0]).tolist() == [[10 * (index + 1)]]


def test_a_request_larger_than_a_run_is_split_and_answered_whole(signet, in_process):
    rows = np.random.default_rng(0).normal(size=(333, 3)).astype(np.float32)
    answer = signet.prediction.Predict(letters(rows, return_outputs=True))
    assert len(answer.predictions) == 333
    np.testing.assert_allclose(array_of(answer.outputs[0]), in_process(rows), rtol=1e-6)


@pytest.fixture
def slow(tmp_path):
    """A server whose model `slow` takes long for a row, one row a run, and that lets WAITING_ROWS rows wait."""
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    with running_server(tmp_path, queue_rows=WAITING_ROWS, max_request_rows=WAITING_ROWS, max_batch_rows=1) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()


def ask_until_refused(slow) -> list[Any]:
    """Three times the calls that can wait; back when one was refused, so that WAITING_ROWS rows were waiting."""
    refused = threading.Event()

    def look(call: Any) -> None:
        if not call.cancelled() and call.exception():
            refused.set()

    calls = [slow.prediction.Predict.future(tiny.slow_request(), timeout=60) for _ in range(3 * WAITING_ROWS)]
    for call in calls:
        call.add_done_callback(look)
    assert refused.wait(60)
    return calls


def rows_run(slow) -> int:
    """How many rows the model has run."""
    return int(slow.server.metrics.registry.get_sample_value("signet_rows_total", {"model": "slow", "version": "1"}))


def test_a_full_queue_refuses_with_a_hint_when_to_come_back(slow, transport):
    calls = ask_until_refused(slow)
    refused = [call for call in calls if call.exception()]
    assert 0 < len(refused) < len(calls)
    for call in refused:
        assert call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert call.details() == f"{WAITING_ROWS} rows are waiting and 1 more would pass the limit of {WAITING_ROWS}"
        trailers = dict(call.trailing_metadata())
        retry = error_details_pb2.RetryInfo()
        assert status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details[0].Unpack(retry)
        assert retry.retry_delay.ToMilliseconds() >= 1
        if CAPABILITIES[transport].retry_pushback:
            assert int(trailers["grpc-retry-pushback-ms"]) == retry.retry_delay.ToMilliseconds()
    assert rows_run(slow) == len(calls) - len(refused)


def test_callers_who_left_are_not_run_and_make_room_in_the_queue(slow):
    calls = ask_until_refused(slow)
    accepted = [call for call in calls if not call.done()]
    for call in accepted:
        call.cancel()
    # A call may overtake the news that others left.
    while (late := slow.prediction.Predict.future(tiny.slow_request(), timeout=60)).exception() is not None:
        assert late.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert late.result().outputs
    assert rows_run(slow) < WAITING_ROWS


def test_rows_whose_deadline_passed_in_the_queue_are_not_run(slow):
    waiting = [slow.prediction.Predict.future(tiny.slow_request(), timeout=60) for _ in range(WAITING_ROWS // 2)]
    late = status_of(slow.prediction.Predict, tiny.slow_request(), timeout=0.001)
    assert late[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    assert all(call.result().outputs for call in waiting)
    assert slow.prediction.Predict(tiny.slow_request(), timeout=60).outputs
    assert rows_run(slow) == len(waiting) + 1


def test_requests_that_differ_in_their_contents_alone_get_their_own_answers(signet, in_process):
    def ask(caller: int) -> None:
        generator = np.random.default_rng(caller)
        for count in (1, 3, 1, 2, 3, 1):
            rows = generator.normal(size=(count, 3)).astype(np.float32)
            answer = signet.prediction.Predict(letters(rows, return_outputs=False), timeout=60)
            assert [row.class_index for row in answer.predictions] == in_process(rows).argmax(axis=1).tolist()

    all_at_once(ask)


def test_a_known_request_is_answered_by_the_version_that_is_served_now(tmp_path):
    for version in (1, 2):
        tiny.put_bare(tmp_path, "letters", tiny.linear_model(), version=version, labels=["a", "b", "c"])
    rows = np.eye(3, dtype=np.float32)
    with running_server(tmp_path, allow_control=True) as server:
        signet = connect(server)
        versions = []
        for version in (2, 1, 2):
            signet.models.LoadModel(LoadModelRequest(model="letters", version=version), timeout=60)
            versions += [signet.prediction.Predict(letters(rows), timeout=60).version for _ in range(3)]
        signet.channel.close()
    assert versions == [2, 2, 2, 1, 1, 1, 2, 2, 2]
