"""What is served can be asked for; what is allowed can be changed."""

import json

import grpc
import pytest

from protos.signet.v1 import models_pb2
from protos.signet.v1.models_pb2 import GetModelRequest, ListModelsRequest, LoadModelRequest, UnloadModelRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import shades, status_of
from tests.running_server import running_server

READY = models_pb2.MODEL_STATE_READY


@pytest.fixture
def controlled(tmp_path):
    """A server of `shades` version 1 that allows control, and its repository."""
    tiny.put_shades(tmp_path)
    with running_server(tmp_path, allow_control=True) as server:
        connection = connect(server)
        connection.root = tmp_path
        yield connection
        connection.channel.close()


def states(connection) -> dict[int, str]:
    answer = connection.models.ListModels(ListModelsRequest())
    return {one.version: models_pb2.ModelState.Name(one.state).removeprefix("MODEL_STATE_") for one in answer.models}


def test_a_version_that_failed_is_listed_with_its_reason_beside_those_that_serve(signet):
    listed = {one.model: one for one in signet.models.ListModels(ListModelsRequest()).models}
    assert listed["corrupt"].state == models_pb2.MODEL_STATE_FAILED
    assert listed["corrupt"].reason == "model.onnx: onnxruntime cannot load it (INVALID_PROTOBUF)"
    assert listed["shades"].state == READY
    assert listed["shades"].is_default


def test_get_model_tells_signature_labels_and_preprocessing_of_an_image_model(signet):
    told = signet.models.GetModel(GetModelRequest(model="shades"))
    assert [(one.name, one.datatype, list(one.shape)) for one in told.inputs] == [("image", "UINT8", [-1, 4, 4, 3])]
    assert [(one.name, list(one.shape)) for one in told.outputs] == [("probabilities", [-1, 3])]
    assert dict(told.class_indices) == tiny.SHADES
    assert (told.image.height, told.image.color_mode, told.image.other_size) == (4, "rgb", "resize")
    assert told.decision.kind == "argmax"
    assert told.provider == "CPUExecutionProvider"
    assert told.intra_op_threads >= 1
    assert told.batched


def test_get_model_names_the_features_and_threshold_of_a_sigmoid_model(signet):
    told = signet.models.GetModel(GetModelRequest(model="sums"))
    assert [one.name for one in told.features.features] == ["a", "b", "c"]
    assert told.decision.threshold == 0.5


def test_get_model_says_why_a_model_is_not_batched(signet):
    told = signet.models.GetModel(GetModelRequest(model="centred"))
    assert not told.batched
    assert told.unbatched_reason == "output y of a row depends on the rows beside it"


def test_get_model_tells_metrics_and_the_golden_result(tmp_path):
    tiny.put_golden_letters(tmp_path, metrics={"accuracy": 0.75})
    with running_server(tmp_path) as server:
        connection = connect(server)
        told = connection.models.GetModel(GetModelRequest(model="letters"))
        connection.channel.close()
    assert dict(told.metrics) == {"accuracy": 0.75}
    assert (told.golden.rows, told.golden.tolerance) == (4, 1e-5)
    assert told.golden.max_abs_difference <= 1e-5


def test_get_model_of_a_failed_version_gives_its_status_alone(signet):
    told = signet.models.GetModel(GetModelRequest(model="corrupt"))
    assert told.status.state == models_pb2.MODEL_STATE_FAILED
    assert not told.inputs


@pytest.mark.parametrize(
    ("method", "request_type"), [("LoadModel", LoadModelRequest), ("UnloadModel", UnloadModelRequest)]
)
def test_control_is_refused_unless_the_server_allows_it(signet, method, request_type):
    code, text = status_of(getattr(signet.models, method), request_type(model="shades"))
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert "--allow-control" in text


def test_a_new_version_is_loaded_and_the_old_one_drained(controlled):
    tiny.put_shades(controlled.root, version=2)
    assert controlled.models.LoadModel(LoadModelRequest(model="shades")).status.version == 2
    assert controlled.prediction.Predict(shades(0)).version == 2
    assert states(controlled) == {2: "READY"}


def test_a_broken_new_version_leaves_the_old_one_serving(controlled):
    folder = tiny.put_shades(controlled.root, version=2)
    (folder / "model.onnx").write_bytes(b"other bytes")
    code, text = status_of(controlled.models.LoadModel, LoadModelRequest(model="shades"))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "model.onnx: the checksum differs from the manifest's" in text
    assert controlled.prediction.Predict(shades(0)).version == 1
    assert states(controlled) == {1: "READY", 2: "FAILED"}


def test_a_version_that_renumbers_the_labels_is_refused(controlled):
    folder = tiny.put_shades(controlled.root, version=2)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["class_indices"] = {"dark": 2, "middle": 1, "bright": 0}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, text = status_of(controlled.models.LoadModel, LoadModelRequest(model="shades"))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "version 1 has {'dark': 0, 'middle': 1, 'bright': 2}" in text


def test_an_older_version_can_be_brought_back(controlled):
    tiny.put_shades(controlled.root, version=2)
    controlled.models.LoadModel(LoadModelRequest(model="shades"))
    controlled.models.LoadModel(LoadModelRequest(model="shades", version=1))
    assert controlled.prediction.Predict(shades(0)).version == 1
    assert states(controlled) == {1: "READY"}


def test_an_unloaded_model_is_not_found(controlled):
    unloaded = controlled.models.UnloadModel(UnloadModelRequest(model="shades")).models
    assert [models_pb2.ModelState.Name(one.state) for one in unloaded] == ["MODEL_STATE_GONE"]
    assert status_of(controlled.prediction.Predict, shades(0)) == (
        grpc.StatusCode.NOT_FOUND,
        "no model named shades",
    )


def test_a_version_that_is_not_on_disk_cannot_be_loaded(controlled):
    code, text = status_of(controlled.models.LoadModel, LoadModelRequest(model="shades", version=9))
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, "model shades has no version 9; it has 1")


def test_a_name_that_climbs_out_of_the_repository_cannot_be_loaded(controlled):
    code, _ = status_of(controlled.models.LoadModel, LoadModelRequest(model="../shades"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
