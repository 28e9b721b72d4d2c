"""`signet-serve` stops without losing a call."""

import queue
import signal

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from protos.signet.v1.prediction_pb2 import PredictStreamRequest
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.contract.requests import letters
from tests.contract.serving_process import serving


@pytest.fixture
def models(tmp_path):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    return tmp_path


def test_sigterm_lets_the_calls_and_streams_in_flight_finish(models):
    with (
        serving(models, "--max-batch-rows", "1") as (process, port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = PredictionStub(channel)
        stream = stub.PredictStream(iter([PredictStreamRequest(request=tiny.slow_request())] * 8))
        calls = [stub.Predict.future(tiny.slow_request()) for _ in range(16)]
        next(stream)
        calls[7].result(30)
        process.send_signal(signal.SIGTERM)
        assert [len(call.result(30).outputs) for call in calls] == [1] * 16
        assert [len(answer.response.outputs) for answer in stream] == [1] * 7
        assert process.wait(30) == 0


def test_in_the_lame_duck_time_health_says_no_and_calls_are_still_answered(models):
    with (
        serving(models, "--lame-duck-seconds", "60", "--max-batch-rows", "1") as (process, port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        health = HealthStub(channel)
        watches = [health.Watch(HealthCheckRequest(service=name), timeout=30) for name in ("", "letters")]
        assert [next(watch).status for watch in watches] == [HealthCheckResponse.SERVING] * 2
        process.send_signal(signal.SIGTERM)
        assert [next(watch).status for watch in watches] == [HealthCheckResponse.NOT_SERVING] * 2
        alive = health.Check(HealthCheckRequest(service="grpc.health.v1.Health"))
        assert alive.status == HealthCheckResponse.SERVING
        assert PredictionStub(channel).Predict(letters([[0, 9, 0]])).predictions[0].label == "b"


def test_a_stream_that_its_caller_leaves_open_is_ended_after_the_drain_time(models):
    with (
        serving(models, "--drain-seconds", "0.1", "--max-batch-rows", "1") as (process, port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        more: queue.SimpleQueue[PredictStreamRequest | None] = queue.SimpleQueue()
        stream = PredictionStub(channel).PredictStream(iter(more.get, None))
        more.put(PredictStreamRequest(request=letters([[9, 0, 0]])))
        next(stream)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert stream.code() == grpc.StatusCode.UNAVAILABLE
        more.put(None)
