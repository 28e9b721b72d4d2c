"""Two workers answer on one port as one server would."""

import signal

import grpc
import pytest

from protos.signet.v1.models_pb2 import ListModelsRequest, LoadModelRequest, UnloadModelRequest
from protos.signet.v1.models_pb2_grpc import ModelsStub
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.contract.requests import shades, status_of
from tests.contract.serving_process import run_to_end
from tests.contract.serving_workers import connections, total, two_workers

CALLERS = 16


@pytest.fixture
def models(tmp_path):
    tiny.put_shades(tmp_path)
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    return tmp_path


def served_versions(channels) -> list[set[tuple[str, int]]]:
    """What each connection's worker says that it serves."""
    answers = [ModelsStub(channel).ListModels(ListModelsRequest()) for channel in channels]
    return [{(one.model, one.version) for one in answer.models} for answer in answers]


def received(scrape) -> float:
    """Requests under way and answered."""
    answered = total(scrape.get("signet_request_seconds", []), "signet_request_seconds_count")
    return answered + total(scrape["signet_requests_in_flight"], "signet_requests_in_flight")


def test_both_workers_answer_and_one_scrape_has_the_sum(models):
    with two_workers(models, "--access-log", "all") as workers, connections(workers.port, CALLERS) as channels:
        for channel in channels:
            assert PredictionStub(channel).Predict(shades(0), timeout=30).predictions[0].label == "dark"
        scrape = workers.scrape()
        assert workers.health() == 200
        workers.process.send_signal(signal.SIGTERM)
        assert workers.process.wait(30) == 0
        lines = workers.rest()
    answered = {line["worker"] for line in lines if line["event"] == "request"}
    assert answered == {1, 2}
    assert total(scrape["signet_request_seconds"], "signet_request_seconds_count", code="OK") == CALLERS
    assert total(scrape["signet_predictions"], "signet_predictions_total", label="dark") == CALLERS
    assert total(scrape["signet_model_state"], "signet_model_state", model="shades", state="READY") == 1
    assert total(scrape["signet_workers"], "signet_workers") == 2
    per_process = {one.labels["worker"] for one in scrape["process_resident_memory_bytes"]}
    assert per_process == {"1", "2", "supervisor"}


def test_sigterm_loses_none_of_sixteen_calls_in_flight(models):
    with (
        two_workers(models, "--max-batch-rows", "1") as workers,
        connections(workers.port, CALLERS) as channels,
    ):
        for channel in channels:
            PredictionStub(channel).Predict(shades(0), timeout=30)
        calls = [PredictionStub(channel).Predict.future(tiny.slow_request(), timeout=60) for channel in channels]
        assert workers.eventually(lambda scrape: received(scrape) == 2 * CALLERS)
        workers.process.send_signal(signal.SIGTERM)
        assert [len(call.result().outputs) for call in calls] == [1] * CALLERS
        assert workers.process.wait(30) == 0


def test_what_one_worker_loaded_or_unloaded_every_connection_sees_when_the_call_returns(models):
    with two_workers(models, "--allow-control") as workers, connections(workers.port, CALLERS) as channels:
        assert served_versions(channels) == [{("shades", 1), ("slow", 1)}] * CALLERS
        tiny.put_shades(models, version=2)
        ModelsStub(channels[0]).LoadModel(LoadModelRequest(model="shades"), timeout=30)
        assert served_versions(channels) == [{("shades", 2), ("slow", 1)}] * CALLERS
        ModelsStub(channels[1]).UnloadModel(UnloadModelRequest(model="slow"), timeout=30)
        assert served_versions(channels) == [{("shades", 2)}] * CALLERS
    with two_workers(models) as workers, connections(workers.port, CALLERS) as channels:
        assert served_versions(channels) == [{("shades", 2)}] * CALLERS


def test_a_model_that_does_not_load_changes_nothing_anywhere(models):
    (tiny.put_shades(models, version=2) / "model.onnx").write_bytes(b"other bytes")
    tiny.put_shades(models, version=3)
    with two_workers(models, "--allow-control") as workers, connections(workers.port, CALLERS) as channels:
        code, _ = status_of(ModelsStub(channels[0]).LoadModel, LoadModelRequest(model="shades", version=2))
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        answers = [PredictionStub(channel).Predict(shades(0)) for channel in channels]
        assert [answer.version for answer in answers] == [3] * CALLERS


def test_a_second_server_on_the_workers_port_does_not_start(models):
    with two_workers(models) as workers:
        second = ("--models", str(models), "--port", str(workers.port), "--metrics-port", "0")
        ended = [run_to_end(*second), run_to_end(*second, "--workers", "2")]
    text = f"signet-serve: port: 127.0.0.1:{workers.port} cannot be listened on; is it taken?"
    assert [(one.returncode, text in one.stderr, "Traceback" in one.stderr) for one in ended] == [(1, True, False)] * 2


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--models", "nowhere"), "signet-serve: models: nowhere is no folder"),
        (("--models", ".", "--providers", "cuda"), "signet-serve: providers=cuda was asked for, but "),
    ],
    ids=["no repository", "no CUDA"],
)
def test_what_a_worker_cannot_start_with_ends_the_whole_with_its_text(flags, text):
    ended = run_to_end(*flags, "--workers", "2", "--port", "0", "--metrics-port", "0")
    assert ended.returncode == 1
    assert ended.stderr.count(text) == 1
    assert "Traceback" not in ended.stderr


def test_a_taken_metrics_port_is_named(models):
    with two_workers(models) as workers:
        taken = str(workers.metrics_port)
        ended = run_to_end("--models", str(models), "--workers", "2", "--port", "0", "--metrics-port", taken)
    assert ended.returncode == 1
    assert f"signet-serve: metrics_port: 127.0.0.1:{taken} cannot be listened on" in ended.stderr
