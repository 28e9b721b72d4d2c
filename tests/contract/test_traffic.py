"""Labels and splits decide which version answers, if the server allows control, and outlive it."""

from collections import Counter
from types import SimpleNamespace

import grpc
import pytest

from protos.inference.service_pb2_grpc import GRPCInferenceServiceStub
from protos.inference.tensors_pb2 import ModelInferRequest
from protos.signet.v1.models_pb2 import (
    ListModelsRequest,
    LoadModelRequest,
    RemoveVersionLabelRequest,
    SetTrafficSplitRequest,
    SetVersionLabelRequest,
    UnloadModelRequest,
)
from protos.signet.v1.prediction_pb2 import PredictRequest, PredictStreamRequest
from protos.tensorflow_serving import model_service_pb2_grpc, prediction_service_pb2_grpc
from protos.tensorflow_serving.model_pb2 import ModelSpec
from protos.tensorflow_serving.model_service_pb2 import GetModelStatusRequest
from protos.tensorflow_serving.prediction_service_pb2 import GetModelMetadataRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import letters, status_of
from tests.running_server import running_server

NOT_FOUND = grpc.StatusCode.NOT_FOUND
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
ROW = [[0, 9, 0]]
SETTINGS = {"allow_control": True, "version_policy": "all", "split_key": "User-Id"}


@pytest.fixture
def two(tmp_path):
    """A server of versions 1 and 2 of `letters` that allows control, and its repository."""
    for version in (1, 2):
        tiny.put_bare(tmp_path, "letters", tiny.linear_model(), version, labels=["a", "b", "c"])
    with running_server(tmp_path, **SETTINGS) as server:
        connection = connect(server)
        connection.root = tmp_path
        yield connection
        connection.channel.close()


def label(connection: SimpleNamespace, **labels: int) -> None:
    for name, version in labels.items():
        connection.models.SetVersionLabel(SetVersionLabelRequest(model="letters", label=name, version=version))


def split(connection: SimpleNamespace, **percent: float) -> None:
    connection.models.SetTrafficSplit(SetTrafficSplitRequest(model="letters", percent=percent))


def version_of(connection: SimpleNamespace, **fields) -> int:
    return connection.prediction.Predict(letters(ROW, **fields)).version


def shown(connection: SimpleNamespace) -> dict[int, tuple[list[str], float, bool]]:
    models = connection.models.ListModels(ListModelsRequest()).models
    return {one.version: (list(one.labels), one.split_percent, one.is_default) for one in models}


def test_a_label_answers_with_its_version_wherever_it_is_moved(two):
    label(two, stable=1, canary=2)
    assert (version_of(two, version_label="stable"), version_of(two, version_label="canary")) == (1, 2)
    assert version_of(two) == 2
    label(two, stable=2)
    assert version_of(two, version_label="stable") == 2
    assert shown(two) == {1: ([], 0, False), 2: (["canary", "stable"], 0, True)}


def test_a_split_shares_out_requests_without_a_version(two):
    label(two, stable=1, canary=2)
    split(two, canary=50)
    assert shown(two) == {1: (["stable"], 0, True), 2: (["canary"], 50, False)}
    assert set(Counter(version_of(two) for _ in range(64))) == {1, 2}
    assert {version_of(two, version=2) for _ in range(8)} == {2}
    split(two, canary=0)
    assert {version_of(two) for _ in range(8)} == {1}
    split(two)
    assert version_of(two) == 2


def versions_by_key(two, ask) -> Counter:
    """How many of sixteen keys had each version, having asked with each of them four times."""
    label(two, stable=1, canary=2)
    split(two, canary=50)
    answers = [{ask(f"user-{number}") for _ in range(4)} for number in range(16)]
    assert {len(one) for one in answers} == {1}
    return Counter(version for one in answers for version in one)


def test_a_request_id_stays_with_its_version(two):
    assert set(versions_by_key(two, lambda key: version_of(two, id=key))) == {1, 2}


def test_a_user_stays_with_a_version_whatever_the_request_id_and_the_protocol(two):
    infer = GRPCInferenceServiceStub(two.channel).ModelInfer
    calls = iter(range(1000))

    def ask(key: str) -> int:
        metadata = [("user-id", key)]
        request = letters(ROW, id=str(next(calls)))
        version = two.prediction.Predict(request, metadata=metadata).version
        (streamed,) = two.prediction.PredictStream(iter([PredictStreamRequest(request=request)]), metadata=metadata)
        triton = ModelInferRequest(model_name="letters", id=str(next(calls)))
        triton.inputs.add(name="x", datatype="FP32", shape=[1, 3]).contents.fp32_contents.extend(ROW[0])
        assert streamed.response.version == version
        assert infer(triton, metadata=metadata).model_version == str(version)
        return version

    assert set(versions_by_key(two, ask)) == {1, 2}


def test_tensorflow_servings_clients_have_the_same_labels(two):
    label(two, stable=1)
    spec = ModelSpec(name="letters", version_label="stable")
    metadata = prediction_service_pb2_grpc.PredictionServiceStub(two.channel).GetModelMetadata
    status = model_service_pb2_grpc.ModelServiceStub(two.channel).GetModelStatus
    answer = metadata(GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"]))
    assert answer.model_spec.version.value == 1
    (one,) = status(GetModelStatusRequest(model_spec=spec)).model_version_status
    assert one.version == 1
    spec.version_label = "canary"
    text = "model letters has no version label 'canary'; it has stable"
    assert status_of(status, GetModelStatusRequest(model_spec=spec)) == (NOT_FOUND, text)


def test_labels_splits_and_policies_outlive_the_server(two):
    label(two, stable=1, canary=2)
    split(two, canary=25)
    two.models.LoadModel(LoadModelRequest(model="letters", policy="specific:2"))
    before = shown(two)
    with running_server(two.root) as server:
        again = connect(server)
        assert shown(again) == before == {1: (["stable"], 0, True), 2: (["canary"], 25, False)}
        again.channel.close()


def test_a_version_with_a_label_stays_until_it_has_none(two):
    label(two, stable=1)
    two.models.LoadModel(LoadModelRequest(model="letters", version=2))
    assert version_of(two, version_label="stable") == 1
    code, text = status_of(two.models.UnloadModel, UnloadModelRequest(model="letters", version=1))
    assert (code, text) == (
        FAILED_PRECONDITION,
        "model letters version 1 has the label stable; move or remove it first",
    )
    two.models.RemoveVersionLabel(RemoveVersionLabelRequest(model="letters", label="stable"))
    assert shown(two) == {2: ([], 0, True)}


def test_a_label_with_a_share_of_the_requests_is_not_removed(two):
    label(two, canary=2)
    split(two, canary=10)
    code, _ = status_of(two.models.RemoveVersionLabel, RemoveVersionLabelRequest(model="letters", label="canary"))
    assert code == FAILED_PRECONDITION


def test_unloading_the_model_forgets_its_labels(two):
    label(two, stable=1)
    two.models.UnloadModel(UnloadModelRequest(model="letters"))
    two.models.LoadModel(LoadModelRequest(model="letters"))
    assert shown(two) == {2: ([], 0, True)}


def test_a_label_is_not_moved_to_a_version_that_failed(two):
    label(two, stable=1)
    tiny.put_bare(two.root, "letters", b"no model", 3)
    two.models.LoadModel(LoadModelRequest(model="letters", policy="all"))
    code, text = status_of(
        two.models.SetVersionLabel, SetVersionLabelRequest(model="letters", label="stable", version=3)
    )
    assert (code, text) == (FAILED_PRECONDITION, "model letters version 3 is FAILED; a label needs a READY one")
    assert version_of(two, version_label="stable") == 1


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        ("SetVersionLabel", SetVersionLabelRequest(model="letters", label="x", version=9), NOT_FOUND, "no version 9"),
        ("SetVersionLabel", SetVersionLabelRequest(model="nobody", label="x", version=1), NOT_FOUND, "no model named"),
        (
            "SetVersionLabel",
            SetVersionLabelRequest(model="letters", label="a b", version=1),
            INVALID_ARGUMENT,
            "label: 'a b' is no version label",
        ),
        (
            "RemoveVersionLabel",
            RemoveVersionLabelRequest(model="letters", label="x"),
            NOT_FOUND,
            "no version label 'x'",
        ),
        ("SetTrafficSplit", SetTrafficSplitRequest(model="letters", percent={"x": 1}), NOT_FOUND, "no version label"),
        ("SetTrafficSplit", SetTrafficSplitRequest(model="letters", percent={"a b": 1}), INVALID_ARGUMENT, "label: "),
        ("LoadModel", LoadModelRequest(model="letters", policy="newest"), INVALID_ARGUMENT, "policy: 'newest' came"),
        (
            "LoadModel",
            LoadModelRequest(model="letters", policy="all", version=1),
            INVALID_ARGUMENT,
            "version 1 and policy 'all' came",
        ),
        ("LoadModel", LoadModelRequest(model="letters", policy="specific:9"), NOT_FOUND, "that specific:9 wants"),
    ],
    ids=[
        "label for an unknown version",
        "label for an unknown model",
        "no label's name",
        "removal of an unknown label",
        "split to an unknown label",
        "split to no label's name",
        "unknown policy",
        "policy and version",
        "policy that wants nothing",
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(two, method, request_, code, text):
    before = shown(two)
    came, said = status_of(getattr(two.models, method), request_)
    assert came == code
    assert text in said
    assert shown(two) == before


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"version_label": "next"}, NOT_FOUND, "model letters has no version label 'next'"),
        ({"version_label": ""}, NOT_FOUND, "model letters has no version label ''"),
        (
            {"version_label": "next", "version": 1},
            INVALID_ARGUMENT,
            "version 1 and version_label 'next' came; one of them was expected",
        ),
    ],
    ids=["unknown label", "empty label", "label and version"],
)
def test_a_request_for_a_label_that_is_not_there_is_refused(signet, fields, code, text):
    assert status_of(signet.prediction.Predict, letters(ROW, **fields)) == (code, text)


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("SetVersionLabel", SetVersionLabelRequest(model="letters", label="x", version=1)),
        ("RemoveVersionLabel", RemoveVersionLabelRequest(model="letters", label="x")),
        ("SetTrafficSplit", SetTrafficSplitRequest(model="letters")),
    ],
)
def test_labels_and_splits_are_refused_unless_the_server_allows_control(signet, method, request_):
    code, text = status_of(getattr(signet.models, method), request_)
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert "--allow-control" in text


def test_a_label_of_a_model_that_is_not_there_is_not_found(signet):
    request = PredictRequest(model="nobody", version_label="stable")
    assert status_of(signet.prediction.Predict, request) == (NOT_FOUND, "no model named nobody")
