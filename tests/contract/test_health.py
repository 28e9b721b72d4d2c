"""grpc.health.v1 mirrors the models' states; reflection tells what is offered."""

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from protos.signet.v1.models_pb2 import UnloadModelRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import status_of
from tests.running_server import running_server

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


def check(connection, service: str = "") -> int:
    return HealthStub(connection.channel).Check(HealthCheckRequest(service=service)).status


def test_the_server_serves_though_one_model_failed(signet):
    assert check(signet) == SERVING
    assert check(signet, "shades") == SERVING
    assert check(signet, "corrupt") == NOT_SERVING


def test_an_unknown_service_is_not_found(signet):
    assert status_of(check, signet, "nobody")[0] == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(("allow_empty", "status"), [(False, NOT_SERVING), (True, SERVING)])
def test_an_empty_repository_is_not_serving_unless_allowed(tmp_path, allow_empty, status):
    with running_server(tmp_path, allow_empty=allow_empty) as server:
        connection = connect(server)
        assert check(connection) == status
        connection.channel.close()


def test_watch_tells_when_a_model_and_with_the_last_one_the_server_stops_serving(tmp_path):
    tiny.put_shades(tmp_path)
    with running_server(tmp_path, allow_control=True) as server:
        connection = connect(server)
        stub = HealthStub(connection.channel)
        watches = [stub.Watch(HealthCheckRequest(service=name), timeout=10) for name in ("", "shades")]
        assert [next(watch).status for watch in watches] == [SERVING, SERVING]
        connection.models.UnloadModel(UnloadModelRequest(model="shades"))
        assert [next(watch).status for watch in watches] == [NOT_SERVING, NOT_SERVING]
        connection.channel.close()


def test_reflection_lists_the_services_and_describes_their_messages(signet):
    database = ProtoReflectionDescriptorDatabase(signet.channel)
    assert {"signet.v1.Prediction", "signet.v1.Models", "grpc.health.v1.Health"} <= set(database.get_services())
    described = database.FindFileContainingSymbol("signet.v1.PredictRequest")
    assert described.name == "protos/signet/v1/prediction.proto"
