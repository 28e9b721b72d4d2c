"""What is served is changed by LoadModel and UnloadModel, if the server allows it, without losing a call."""

import json

import grpc
import pytest

from protos.signet.v1 import models_pb2
from protos.signet.v1.models_pb2 import GetModelRequest, ListModelsRequest, LoadModelRequest, UnloadModelRequest
from protos.signet.v1.prediction_pb2 import PredictRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import shades, status_of
from tests.running_server import running_server

NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.fixture
def controlled(tmp_path):
    """A server of `shades` version 1 that allows control, and its repository."""
    tiny.put_shades(tmp_path)
    with running_server(tmp_path, allow_control=True, max_batch_rows=1) as server:
        connection = connect(server)
        connection.root = tmp_path
        yield connection
        connection.channel.close()


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """As `controlled`, for requests that change nothing."""
    root = tmp_path_factory.mktemp("unchanged")
    tiny.put_shades(root)
    with running_server(root, allow_control=True) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()


def states(connection) -> dict[int, str]:
    answer = connection.models.ListModels(ListModelsRequest())
    return {one.version: models_pb2.ModelState.Name(one.state).removeprefix("MODEL_STATE_") for one in answer.models}


def put_broken_version_2(connection) -> None:
    (tiny.put_shades(connection.root, version=2) / "model.onnx").write_bytes(b"other bytes")


@pytest.mark.parametrize(
    ("method", "request_type"), [("LoadModel", LoadModelRequest), ("UnloadModel", UnloadModelRequest)]
)
def test_control_is_refused_unless_the_server_allows_it(signet, method, request_type):
    code, text = status_of(getattr(signet.models, method), request_type(model="shades"))
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert "--allow-control" in text
    assert signet.prediction.Predict(shades(0)).predictions[0].label == "dark"


def test_a_new_version_is_loaded_and_the_old_one_drained(controlled):
    tiny.put_shades(controlled.root, version=2)
    assert controlled.models.LoadModel(LoadModelRequest(model="shades")).status.version == 2
    assert controlled.prediction.Predict(shades(0)).version == 2
    assert states(controlled) == {2: "READY"}


def test_a_new_model_is_loaded_beside_the_others(controlled):
    tiny.put_sums(controlled.root)
    controlled.models.LoadModel(LoadModelRequest(model="sums"))
    assert [one.model for one in controlled.models.ListModels(ListModelsRequest()).models] == ["shades", "sums"]


def test_calls_of_the_old_version_are_answered_though_a_new_one_takes_over(controlled):
    tiny.put_bare(controlled.root, "slow", tiny.slow_model())
    tiny.put_bare(controlled.root, "slow", tiny.slow_model(), version=2)
    controlled.models.LoadModel(LoadModelRequest(model="slow", version=1))
    calls = [controlled.prediction.Predict.future(tiny.slow_request(), timeout=30) for _ in range(8)]
    assert calls[0].result().version == 1
    controlled.models.LoadModel(LoadModelRequest(model="slow", version=2))
    assert all(call.result().outputs for call in calls)
    assert controlled.prediction.Predict(tiny.slow_request()).version == 2


def test_a_broken_new_version_leaves_the_old_one_serving(controlled):
    put_broken_version_2(controlled)
    code, text = status_of(controlled.models.LoadModel, LoadModelRequest(model="shades"))
    reason = "model.onnx: the checksum differs from the manifest's"
    assert (code, text) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        f"model shades version 2 failed to load: {reason}",
    )
    assert controlled.prediction.Predict(shades(0)).version == 1
    assert states(controlled) == {1: "READY", 2: "FAILED"}
    assert controlled.models.GetModel(GetModelRequest(model="shades", version=2)).status.reason == reason
    assert controlled.models.GetModel(GetModelRequest(model="shades")).status.version == 1


def test_a_broken_version_that_was_mended_can_be_loaded(controlled):
    put_broken_version_2(controlled)
    status_of(controlled.models.LoadModel, LoadModelRequest(model="shades"))
    tiny.put_shades(controlled.root, version=3)
    (controlled.root / "shades" / "2" / "model.onnx").write_bytes(tiny.image_model())
    controlled.models.LoadModel(LoadModelRequest(model="shades", version=2))
    assert controlled.prediction.Predict(shades(0)).version == 2
    assert states(controlled) == {2: "READY"}


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


def test_loading_what_is_ready_changes_nothing(unchanged):
    before = unchanged.models.GetModel(GetModelRequest(model="shades"))
    unchanged.models.LoadModel(LoadModelRequest(model="shades", version=1))
    assert unchanged.models.GetModel(GetModelRequest(model="shades")) == before


def test_an_unloaded_model_is_not_found_until_it_is_loaded_again(controlled):
    unloaded = controlled.models.UnloadModel(UnloadModelRequest(model="shades")).models
    assert [models_pb2.ModelState.Name(one.state) for one in unloaded] == ["MODEL_STATE_GONE"]
    for call, request in (
        (controlled.prediction.Predict, shades(0)),
        (controlled.models.GetModel, GetModelRequest(model="shades")),
        (controlled.models.UnloadModel, UnloadModelRequest(model="shades")),
    ):
        assert status_of(call, request) == (NOT_FOUND, "no model named shades")
    controlled.models.LoadModel(LoadModelRequest(model="shades"))
    assert controlled.prediction.Predict(shades(0)).predictions[0].label == "dark"


def test_what_was_asked_for_outlives_the_server_where_it_was_told_to_keep_it(tmp_path):
    models, state = tmp_path / "models", tmp_path / "state"
    state.mkdir()
    for version in (1, 2):
        tiny.put_shades(models, version=version)
    settings = {"allow_control": True, "state": state}
    with running_server(models, **settings) as server:
        connection = connect(server)
        connection.models.LoadModel(LoadModelRequest(model="shades", version=1))
        connection.channel.close()
    with running_server(models, **settings) as server:
        connection = connect(server)
        assert states(connection) == {1: "READY"}
        connection.channel.close()
    assert [path.name for path in models.iterdir()] == ["shades"]


def test_one_version_can_be_unloaded(controlled):
    put_broken_version_2(controlled)
    status_of(controlled.models.LoadModel, LoadModelRequest(model="shades"))
    controlled.models.UnloadModel(UnloadModelRequest(model="shades", version=2))
    assert states(controlled) == {1: "READY"}
    code, text = status_of(controlled.prediction.Predict, PredictRequest(model="shades", version=2))
    assert (code, text) == (NOT_FOUND, "model shades has no version 2; it has 1")


@pytest.mark.parametrize(
    ("request_fields", "code", "text"),
    [
        ({"model": "shades", "version": 9}, NOT_FOUND, "model shades has no version 9; it has 1"),
        ({"model": "shades", "version": -1}, NOT_FOUND, "model shades has no version -1; it has 1"),
        ({"model": "nobody"}, NOT_FOUND, "no model named nobody"),
        (
            {"model": "../shades"},
            grpc.StatusCode.INVALID_ARGUMENT,
            "model: '../shades' is no model name; 1 to 128 letters, digits, '_', '.' and '-' were expected",
        ),
    ],
    ids=["version not on disk", "negative version", "unknown model", "name that climbs out of the repository"],
)
def test_what_is_not_in_the_repository_cannot_be_loaded_nor_unloaded(unchanged, request_fields, code, text):
    assert status_of(unchanged.models.LoadModel, LoadModelRequest(**request_fields)) == (code, text)
    assert status_of(unchanged.models.UnloadModel, UnloadModelRequest(**request_fields)) == (code, text)
