"""Traces by OTLP to a collector: one span a call with its steps below it, in the trace of its caller."""

import socket
import time
from typing import Any

import numpy as np
import pytest

from protos.signet.v1.models_pb2 import ListModelsRequest
from protos.signet.v1.prediction_pb2 import PredictRequest, PredictStreamRequest
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from protos.tensorflow_serving.prediction_service_pb2 import RegressionRequest
from tests import tiny_models as tiny
from tests.contract import open_inference
from tests.contract.conftest import connect
from tests.contract.requests import letters, raw_tensor, status_of
from tests.contract.serving_workers import connections, two_workers
from tests.contract.tensorflow_serving_requests import letters as tensorflow_letters
from tests.contract.tensorflow_serving_requests import stubs
from tests.running_server import running_server
from tests.trace_receiver import attributes, trace_receiver

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
SAMPLED = (("traceparent", f"00-{TRACE}-{CALLER}-01"), ("tracestate", "vendor=value"))
NOT_SAMPLED = (("traceparent", f"00-{'5' * 32}-{CALLER}-00"),)

PREDICT = "signet.v1.Prediction/Predict"
OK = 0
ERROR = 2
CALLS = 3
CALLS_OFTEN = 200

STOP_SECONDS = 10


@pytest.fixture(scope="module")
def receiver():
    with trace_receiver() as receiver:
        yield receiver


def tracing_to(port: int, ratio: float = 1.0) -> dict[str, Any]:
    return {"trace_endpoint": f"127.0.0.1:{port}", "trace_sample_ratio": ratio}


@pytest.fixture
def traced(receiver, repository):
    """A server that traces every call, and its connection; the spans of other tests are forgotten."""
    receiver.spans.clear()
    with running_server(repository, **tracing_to(receiver.port)) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()


def test_a_call_is_a_span_in_the_trace_of_its_caller(traced, receiver):
    traced.prediction.Predict(letters([[0, 9, 0], [9, 0, 0]]), metadata=SAMPLED)
    (call,) = receiver.wait_for(PREDICT)
    assert (call.trace_id.hex(), call.parent_span_id.hex(), call.trace_state) == (TRACE, CALLER, "vendor=value")
    assert call.kind == call.SPAN_KIND_SERVER
    said = attributes(call.attributes)
    assert len(said.pop("signet.request_id")) == 16
    assert said == {
        "rpc.system": "grpc",
        "rpc.service": "signet.v1.Prediction",
        "rpc.method": "Predict",
        "rpc.grpc.status_code": 0,
        "signet.model": "letters",
        "signet.version": 1,
        "signet.rows": 2,
    }


def test_the_steps_of_a_call_follow_each_other_within_it(traced, receiver):
    before = time.time_ns()
    # The second call of one shape is known by its head, which is then how it is decoded.
    for _ in range(2):
        traced.prediction.Predict(letters([[0, 9, 0]]))
    for call in receiver.wait_for(PREDICT, 2):
        steps = receiver.below(call)
        assert sorted(steps) == ["decode", "encode", "queue", "run"]
        decode, queue, run, encode = (steps[name] for name in ("decode", "queue", "run", "encode"))
        times = [
            before,
            call.start_time_unix_nano,
            decode.end_time_unix_nano,
            queue.end_time_unix_nano,
            run.end_time_unix_nano,
            encode.start_time_unix_nano,
            call.end_time_unix_nano,
            time.time_ns(),
        ]
        assert times == sorted(times)
        assert decode.start_time_unix_nano == call.start_time_unix_nano
        assert queue.start_time_unix_nano == decode.end_time_unix_nano
        assert run.start_time_unix_nano == queue.end_time_unix_nano
        assert encode.end_time_unix_nano == call.end_time_unix_nano
        assert attributes(run.attributes) == {"signet.batch.rows": 1, "signet.batch.calls": 1}


def test_calls_of_each_protocol_have_their_steps(traced, receiver):
    open_inference.stub(traced).ModelInfer(open_inference.raw("letters", [[0, 9, 0]]))
    stubs(traced).prediction.Predict(tensorflow_letters([[0, 9, 0]]))
    for method in ("inference.GRPCInferenceService/ModelInfer", "tensorflow.serving.PredictionService/Predict"):
        (call,) = receiver.wait_for(method)
        assert sorted(receiver.below(call)) == ["decode", "encode", "queue", "run"]


def test_a_call_that_runs_no_model_is_a_span_alone(traced, receiver):
    traced.models.ListModels(ListModelsRequest())
    (call,) = receiver.wait_for("signet.v1.Models/ListModels")
    assert receiver.below(call) == {}


def test_each_request_of_a_stream_is_a_span_in_the_trace_of_the_stream(traced, receiver):
    requests = [PredictStreamRequest(request=letters([[0, 9, 0]], id=one)) for one in ("a", "b")]
    assert len(list(traced.prediction.PredictStream(iter(requests), metadata=SAMPLED))) == 2
    calls = receiver.wait_for("signet.v1.Prediction/PredictStream", 2)
    assert {call.parent_span_id.hex() for call in calls} == {CALLER}
    assert {attributes(call.attributes)["signet.request_id"] for call in calls} == {"a", "b"}
    assert all(sorted(receiver.below(call)) == ["decode", "encode", "queue", "run"] for call in calls)


def test_a_refusal_is_no_fault_of_the_server(traced, receiver):
    status_of(traced.prediction.Predict, letters([[0, 9]]))
    (call,) = receiver.wait_for(PREDICT)
    said = attributes(call.attributes)
    assert (said["rpc.grpc.status_code"], said["error.type"]) == (3, "InvalidInput")
    assert call.status.code == OK
    assert receiver.below(call) == {}


def test_what_the_server_cannot_do_is_an_error_with_its_text(traced, receiver):
    _, text = status_of(stubs(traced).prediction.Regress, RegressionRequest())
    (call,) = receiver.wait_for("tensorflow.serving.PredictionService/Regress")
    assert (call.status.code, call.status.message) == (ERROR, text)
    assert attributes(call.attributes)["error.type"] == "NotOffered"


def test_a_call_whose_caller_does_not_trace_is_not_traced(traced, receiver):
    traced.prediction.Predict(letters([[0, 9, 0]]), metadata=NOT_SAMPLED)
    traced.prediction.Predict(letters([[0, 9, 0]]), metadata=SAMPLED)
    assert [call.trace_id.hex() for call in receiver.wait_for(PREDICT)] == [TRACE]


def test_a_bad_trace_context_begins_a_new_trace(traced, receiver):
    traced.prediction.Predict(letters([[0, 9, 0]]), metadata=(("traceparent", "00-nonsense-01"),))
    (call,) = receiver.wait_for(PREDICT)
    assert call.parent_span_id == b""


def test_at_a_ratio_of_nothing_only_what_callers_trace_is_traced(receiver, repository):
    receiver.spans.clear()
    with running_server(repository, **tracing_to(receiver.port, 0.0)) as server:
        connection = connect(server)
        connection.prediction.Predict(letters([[0, 9, 0]]))
        connection.prediction.Predict(letters([[0, 9, 0]]), metadata=SAMPLED)
        connection.channel.close()
    assert [call.trace_id.hex() for call in receiver.wait_for(PREDICT)] == [TRACE]


def test_a_run_that_calls_shared_is_linked_with_each_of_them(receiver, tmp_path):
    receiver.spans.clear()
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    with running_server(tmp_path, max_batch_rows=4, **tracing_to(receiver.port)) as server:
        connection = connect(server)
        ask = connection.prediction.Predict.future
        first = ask(slow(16))
        wait_for(connection, "signet_queue_rows", {"model": "slow", "version": "1"})
        for call in [first, *(ask(slow(1)) for _ in range(CALLS))]:
            call.result()
        connection.channel.close()
    calls = [call for call in receiver.wait_for(PREDICT, 1 + CALLS) if attributes(call.attributes)["signet.rows"] == 1]
    batch = receiver.wait_for("batch")[-1]
    assert {link.span_id for link in batch.links} == {call.span_id for call in calls}
    assert attributes(batch.attributes) == {
        "signet.model": "slow",
        "signet.version": 1,
        "signet.batch.rows": CALLS,
        "signet.batch.calls": CALLS,
    }
    for call in calls:
        (link,) = receiver.below(call)["run"].links
        assert (link.trace_id, link.span_id) == (batch.trace_id, batch.span_id)


def slow(rows: int) -> PredictRequest:
    return PredictRequest(model="slow", tensors=[raw_tensor("x", np.ones((rows, 2), np.float32))])


def wait_for(connection, metric: str, labels: dict[str, str]) -> None:
    """Call the server until `metric` is not 0."""
    for _ in range(10_000):
        if connection.server.metrics.registry.get_sample_value(metric, labels):
            return
        connection.models.ListModels(ListModelsRequest(), timeout=60)
    raise AssertionError(f"{metric} stayed 0")


def test_the_spans_say_whose_they_are(receiver, repository, monkeypatch):
    receiver.resources.clear()
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    with running_server(repository, **tracing_to(receiver.port)) as server:
        connection = connect(server)
        connection.prediction.Predict(letters([[0, 9, 0]]))
        connection.channel.close()
    (resource,) = receiver.resources
    assert (resource["service.name"], resource["deployment.environment"]) == ("signet", "test")


def test_each_worker_sends_its_own(receiver, tmp_path):
    receiver.resources.clear()
    tiny.put_bare(tmp_path, "letters", tiny.linear_model())
    flags = ("--trace-endpoint", f"http://127.0.0.1:{receiver.port}", "--trace-sample-ratio", "1")
    with two_workers(tmp_path, *flags) as workers, connections(workers.port, 16) as channels:
        for channel in channels:
            PredictionStub(channel).Predict(letters([[0, 9, 0]]))
        pids = set(workers.pids.values())
        workers.process.terminate()
        workers.process.wait(30)
    assert {resource["process.pid"] for resource in receiver.resources} == pids


def test_traces_without_a_collector_harm_no_call_and_no_stop(repository):
    # A port that is taken and not listened on.
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with running_server(repository, **tracing_to(nobody.getsockname()[1])) as server:
            ask_often(server)
            before = time.monotonic()
    assert time.monotonic() - before < STOP_SECONDS
    assert lost(server) == CALLS_OFTEN


def test_traces_to_a_collector_that_never_answers_harm_no_call_and_no_stop(repository):
    with trace_receiver(hangs=True) as receiver:
        with running_server(repository, **tracing_to(receiver.port)) as server:
            ask_often(server)
            assert receiver.asked.wait(20)
            ask_often(server)
            before = time.monotonic()
        assert time.monotonic() - before < STOP_SECONDS
        assert lost(server) == 2 * CALLS_OFTEN


def test_traces_that_are_lost_are_counted_in_the_metrics(repository, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with running_server(repository, **tracing_to(nobody.getsockname()[1])) as server:
            connection = connect(server)
            wait_for(connection, "signet_traces_lost_total", {})
            connection.channel.close()


def lost(server) -> float:
    return server.metrics.registry.get_sample_value("signet_traces_lost_total")


def ask_often(server) -> None:
    connection = connect(server)
    for _ in range(CALLS_OFTEN):
        assert connection.prediction.Predict(letters([[0, 9, 0]]), timeout=5).predictions[0].label == "b"
    connection.channel.close()
