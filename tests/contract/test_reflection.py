"""What is offered can be found out without its .proto files."""

import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.contract.conftest import connect
from tests.contract.requests import status_of
from tests.running_server import running_server

SERVICES = {"signet.v1.Prediction", "signet.v1.Models", "grpc.health.v1.Health"}

buf = Path(sys.executable).with_name("buf")


def test_the_services_are_listed(signet):
    assert set(ProtoReflectionDescriptorDatabase(signet.channel).get_services()) >= SERVICES


@pytest.mark.parametrize("symbol", ["signet.v1.Prediction", "signet.v1.PredictRequest"])
def test_services_and_messages_are_described(signet, symbol):
    described = ProtoReflectionDescriptorDatabase(signet.channel).FindFileContainingSymbol(symbol)
    assert described.name == "protos/signet/v1/prediction.proto"


def test_an_unknown_symbol_is_not_found(signet):
    with pytest.raises(KeyError):
        ProtoReflectionDescriptorDatabase(signet.channel).FindFileContainingSymbol("signet.v1.Nothing")


def test_it_can_be_switched_off(repository):
    with running_server(repository, reflection=False) as server:
        connection = connect(server)
        database = ProtoReflectionDescriptorDatabase(connection.channel)
        assert status_of(database.get_services)[0] == grpc.StatusCode.UNIMPLEMENTED
        connection.channel.close()


@pytest.mark.skipif(not buf.is_file(), reason="buf is not installed beside this Python")
def test_buf_curl_asks_by_reflection(signet):
    command = [str(buf), "curl", "--protocol", "grpc", "--http2-prior-knowledge"]
    url = f"http://127.0.0.1:{signet.server.port}/signet.v1.Prediction/Predict"
    asked = json.dumps({"model": "sums", "features": [{"values": {"a": 1, "b": 2, "c": 3}}]})
    answered = subprocess.run([*command, "--data", asked, url], capture_output=True, text=True, timeout=60, check=False)
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout)["predictions"][0]["label"] == "positive"
