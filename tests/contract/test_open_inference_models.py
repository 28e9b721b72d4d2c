"""What the server tells of itself and of its models in the Open Inference Protocol, and the control over them."""

import grpc
import numpy as np
import pytest

from protos.inference.metadata_pb2 import (
    ModelMetadataRequest,
    ModelReadyRequest,
    ServerLiveRequest,
    ServerMetadataRequest,
    ServerReadyRequest,
)
from protos.inference.model_config_pb2 import TYPE_FP32, TYPE_STRING, TYPE_UINT8, ModelConfigRequest
from protos.inference.repository_pb2 import (
    ModelRepositoryParameter,
    RepositoryIndexRequest,
    RepositoryModelLoadRequest,
    RepositoryModelUnloadRequest,
)
from protos.inference.statistics_pb2 import ModelStatisticsRequest
from serving.rpc.open_inference_control import NOT_OFFERED
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.open_inference import raw, stub
from tests.contract.requests import shades, status_of
from tests.running_server import running_server

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def service(signet):
    return stub(signet)


@pytest.fixture
def controlled(tmp_path):
    """A server of `shades` that allows control: connection with .service and .root."""
    tiny.put_shades(tmp_path)
    with running_server(tmp_path, allow_control=True) as server:
        connection = connect(server)
        connection.service, connection.root = stub(connection), tmp_path
        yield connection
        connection.channel.close()


def test_the_server_is_live_and_ready(service):
    assert service.ServerLive(ServerLiveRequest()).live
    assert service.ServerReady(ServerReadyRequest()).ready


def test_a_server_without_a_model_is_live_and_not_ready(tmp_path):
    with running_server(tmp_path) as server:
        connection = connect(server)
        service = stub(connection)
        assert service.ServerLive(ServerLiveRequest()).live
        assert not service.ServerReady(ServerReadyRequest()).ready
        connection.channel.close()


def test_the_server_names_itself_and_its_extensions(service):
    answer = service.ServerMetadata(ServerMetadataRequest())
    assert answer.name == "signet"
    assert answer.version
    assert {"classification", "binary_tensor_data", "statistics"} <= set(answer.extensions)


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [("letters", "", True), ("letters", "1", True), ("letters", "2", False), ("corrupt", "", False), ("no", "", False)],
    ids=["default version", "its version", "unknown version", "failed model", "unknown model"],
)
def test_a_model_is_ready_or_not(service, name, version, ready):
    assert service.ModelReady(ModelReadyRequest(name=name, version=version)).ready is ready


def test_metadata_is_the_models_signature(service):
    answer = service.ModelMetadata(ModelMetadataRequest(name="shades"))
    assert (answer.name, answer.versions, answer.platform) == ("shades", ["1"], "onnxruntime_onnx")
    assert [(one.name, one.datatype, one.shape) for one in answer.inputs] == [("image", "UINT8", [-1, 4, 4, 3])]
    assert [(one.name, one.datatype, one.shape) for one in answer.outputs] == [("probabilities", "FP32", [-1, 3])]


def test_the_configuration_of_a_batched_model_leaves_out_the_rows(service):
    config = service.ModelConfig(ModelConfigRequest(name="shades")).config
    assert (config.name, config.platform, config.backend) == ("shades", "onnxruntime_onnx", "onnxruntime")
    assert config.max_batch_size == 500
    assert [(one.name, one.data_type, one.dims) for one in config.input] == [("image", TYPE_UINT8, [4, 4, 3])]
    (output,) = config.output
    assert (output.name, output.data_type, output.dims) == ("probabilities", TYPE_FP32, [3])
    assert output.label_filename == "labels.txt"
    assert config.WhichOneof("scheduling_choice") == "dynamic_batching"


def test_the_configuration_of_a_model_that_is_not_batched_has_every_dimension(service):
    config = service.ModelConfig(ModelConfigRequest(name="fixed")).config
    assert config.max_batch_size == 0
    assert config.input[0].dims == [1, 2]
    assert config.WhichOneof("scheduling_choice") is None


def test_texts_are_strings_in_the_configuration(service):
    assert service.ModelConfig(ModelConfigRequest(name="text")).config.input[0].data_type == TYPE_STRING


@pytest.mark.parametrize("method", ["ModelMetadata", "ModelConfig", "ModelStatistics"])
@pytest.mark.parametrize(
    ("name", "version", "code", "text"),
    [
        ("nobody", "", grpc.StatusCode.NOT_FOUND, "no model named nobody"),
        ("letters", "7", grpc.StatusCode.NOT_FOUND, "model letters has no version 7; it has 1"),
        ("letters", "x", INVALID, "model_version: 'x' came; a number, or nothing for the default, was expected"),
        ("../letters", "", INVALID, "model: '../letters' is no model name"),
        ("corrupt", "", grpc.StatusCode.FAILED_PRECONDITION, "model corrupt version 1 failed to load"),
    ],
    ids=["unknown model", "unknown version", "version that is no number", "path", "failed model"],
)
def test_what_is_not_served_is_told(service, method, name, version, code, text):
    requests = {
        "ModelMetadata": ModelMetadataRequest,
        "ModelConfig": ModelConfigRequest,
        "ModelStatistics": ModelStatisticsRequest,
    }
    got_code, got_text = status_of(getattr(service, method), requests[method](name=name, version=version))
    assert got_code == code
    assert text in got_text


def test_statistics_count_requests_rows_and_runs(controlled):
    before = controlled.service.ModelStatistics(ModelStatisticsRequest(name="shades")).model_stats[0]
    assert (before.inference_count, before.last_inference) == (0, 0)
    image = np.zeros((3, 4, 4, 3))
    for _ in range(2):
        controlled.service.ModelInfer(raw("shades", image, "UINT8", "image"))
    controlled.prediction.Predict(shades(0))
    status_of(controlled.service.ModelInfer, raw("shades", [1], "UINT8", "image"))
    controlled.service.ModelMetadata(ModelMetadataRequest(name="shades"))
    (figures,) = controlled.service.ModelStatistics(ModelStatisticsRequest()).model_stats
    assert (figures.name, figures.version) == ("shades", "1")
    assert (figures.inference_count, figures.execution_count) == (7, 3)
    stats = figures.inference_stats
    assert [one.count for one in (stats.success, stats.fail, stats.queue, stats.compute_infer)] == [3, 1, 3, 3]
    assert stats.success.ns > stats.compute_infer.ns > 0
    assert [one.count for one in (stats.compute_input, stats.compute_output)] == [3, 3]
    assert {one.batch_size: one.compute_output.count for one in figures.batch_stats} == {1: 1, 3: 2}
    assert {one.batch_size: one.compute_infer.count for one in figures.batch_stats} == {1: 1, 3: 2}
    assert sum(one.compute_infer.ns for one in figures.batch_stats) == pytest.approx(stats.compute_infer.ns, abs=3)
    assert figures.last_inference > 1_700_000_000_000


def test_statistics_of_every_ready_model_are_told_if_none_is_named(service):
    names = [one.name for one in service.ModelStatistics(ModelStatisticsRequest()).model_stats]
    assert {"letters", "shades"} <= set(names)
    assert "corrupt" not in names


def test_the_index_lists_what_was_found_and_why_it_is_not_ready(service):
    found = {one.name: one for one in service.RepositoryIndex(RepositoryIndexRequest()).models}
    assert (found["letters"].version, found["letters"].state, found["letters"].reason) == ("1", "READY", "")
    assert found["corrupt"].state == "UNAVAILABLE"
    assert "onnxruntime cannot load it" in found["corrupt"].reason
    ready = {one.name for one in service.RepositoryIndex(RepositoryIndexRequest(ready=True)).models}
    assert ready == set(found) - {"corrupt"}


def test_there_is_one_repository(service):
    code, text = status_of(service.RepositoryIndex, RepositoryIndexRequest(repository_name="other"))
    assert code == INVALID
    assert text == "repository_name: 'other' came; none was expected, there is one repository"


def test_control_is_refused_unless_the_server_allows_it(service):
    for call, request in (
        (service.RepositoryModelLoad, RepositoryModelLoadRequest(model_name="letters")),
        (service.RepositoryModelUnload, RepositoryModelUnloadRequest(model_name="letters")),
    ):
        code, text = status_of(call, request)
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert "--allow-control" in text


def test_a_model_is_unloaded_and_loaded_again(controlled):
    service = controlled.service
    service.RepositoryModelUnload(RepositoryModelUnloadRequest(model_name="shades"))
    assert not service.ModelReady(ModelReadyRequest(name="shades")).ready
    tiny.put_shades(controlled.root, version=2)
    service.RepositoryModelLoad(RepositoryModelLoadRequest(model_name="shades"))
    assert service.ModelReady(ModelReadyRequest(name="shades", version="2")).ready
    assert service.ModelMetadata(ModelMetadataRequest(name="shades")).versions == ["2"]


def test_a_load_with_a_configuration_of_its_own_is_refused(controlled):
    request = RepositoryModelLoadRequest(
        model_name="shades", parameters={"config": ModelRepositoryParameter(string_param="{}")}
    )
    code, text = status_of(controlled.service.RepositoryModelLoad, request)
    assert (code, text) == (INVALID, "parameter config came; none was expected, models are served as packaged")


def test_control_of_an_unknown_model_is_not_found(controlled):
    for call, request in (
        (controlled.service.RepositoryModelLoad, RepositoryModelLoadRequest(model_name="nobody")),
        (controlled.service.RepositoryModelUnload, RepositoryModelUnloadRequest(model_name="nobody")),
    ):
        assert status_of(call, request) == (grpc.StatusCode.NOT_FOUND, "no model named nobody")


@pytest.mark.parametrize("method", NOT_OFFERED)
def test_a_method_that_is_not_offered_says_what_to_use(signet, method):
    call = signet.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
    code, text = status_of(call, b"\x0a\x01x")
    assert code == grpc.StatusCode.UNIMPLEMENTED
    assert text == f"{method}: {NOT_OFFERED[method]}"
