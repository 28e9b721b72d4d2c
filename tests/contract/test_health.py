"""grpc.health.v1 mirrors the models' states."""

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from protos.signet.v1.models_pb2 import LoadModelRequest, UnloadModelRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import status_of
from tests.running_server import running_server

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


def check(connection, service: str = "") -> int:
    return HealthStub(connection.channel).Check(HealthCheckRequest(service=service)).status


def watch(connection, service: str = ""):
    return HealthStub(connection.channel).Watch(HealthCheckRequest(service=service), timeout=20)


def test_the_server_serves_though_one_model_failed(signet):
    assert check(signet) == SERVING
    assert check(signet, "shades") == SERVING
    assert check(signet, "corrupt") == NOT_SERVING


def test_an_unknown_model_is_not_found_by_check_and_unknown_to_watch(signet):
    assert status_of(check, signet, "nobody")[0] == grpc.StatusCode.NOT_FOUND
    assert next(watch(signet, "nobody")).status == HealthCheckResponse.SERVICE_UNKNOWN


@pytest.mark.parametrize(("allow_empty", "status"), [(False, NOT_SERVING), (True, SERVING)], ids=["not", "allowed"])
def test_an_empty_repository_is_not_serving_unless_allowed(tmp_path, allow_empty, status):
    with running_server(tmp_path, allow_empty=allow_empty) as server:
        connection = connect(server)
        assert check(connection) == status
        connection.channel.close()


def test_a_repository_of_failed_models_alone_is_not_serving(tmp_path):
    tiny.put_bare(tmp_path, "corrupt", b"no model")
    with running_server(tmp_path) as server:
        connection = connect(server)
        assert check(connection) == NOT_SERVING
        connection.channel.close()


def test_a_server_without_a_ready_model_says_that_it_is_alive(tmp_path):
    with running_server(tmp_path) as server:
        connection = connect(server)
        assert check(connection, "grpc.health.v1.Health") == SERVING
        connection.channel.close()


def test_watch_follows_models_as_they_come_and_go_and_with_the_last_one_the_server(tmp_path):
    tiny.put_shades(tmp_path)
    with running_server(tmp_path, allow_control=True) as server:
        connection = connect(server)
        watches = [watch(connection, name) for name in ("", "shades", "sums")]
        states = [next(one).status for one in watches]
        assert states == [SERVING, SERVING, HealthCheckResponse.SERVICE_UNKNOWN]
        connection.models.UnloadModel(UnloadModelRequest(model="shades"))
        assert [next(one).status for one in watches[:2]] == [NOT_SERVING, NOT_SERVING]
        tiny.put_sums(tmp_path)
        connection.models.LoadModel(LoadModelRequest(model="sums"))
        assert SERVING in (answer.status for answer in watches[2])
        assert next(watches[0]).status == SERVING
        assert check(connection, "shades") == NOT_SERVING
        for one in watches:
            one.cancel()
        connection.channel.close()


def test_watches_are_told_of_a_stop_and_ended_so_that_they_do_not_hold_it_up(tmp_path):
    tiny.put_shades(tmp_path)
    with running_server(tmp_path, drain_seconds=3600) as server:
        connection = connect(server)
        watching = watch(connection)
        assert next(watching).status == SERVING
    assert [answer.status for answer in watching] == [NOT_SERVING]
    assert watching.code() == grpc.StatusCode.OK
    connection.channel.close()
