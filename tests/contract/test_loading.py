"""Until the first scan has ended the server says so, and answers nobody with a model that is still loading."""

import asyncio
import os

import grpc
import pytest
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from protos.signet.v1 import models_pb2
from protos.signet.v1.models_pb2 import ListModelsRequest
from protos.signet.v1.models_pb2_grpc import ModelsStub
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from serving.server import Server
from serving.settings_reading import read_settings
from tests import tiny_models as tiny
from tests.contract.requests import letters


@pytest.fixture
async def loading(tmp_path):
    """A server that waits, in its first scan, for a file of `letters`; `shades` comes after it. And what ends that."""
    tiny.put_shades(tmp_path)
    file = tiny.put_golden_letters(tmp_path) / "golden.npz"
    file.unlink()
    os.mkfifo(file)
    flags = ("--models", str(tmp_path), "--port", "0", "--metrics-port", "0", "--access-log", "off")
    server = Server(read_settings([*flags]))
    starting = asyncio.create_task(server.start())
    # Opening a pipe to write ends when the scan has opened it to read.
    descriptor = await asyncio.to_thread(os.open, file, os.O_WRONLY)
    while not server.port:
        await asyncio.to_thread(os.sched_yield)

    async def finish() -> None:
        os.close(descriptor)
        await starting

    yield server, finish
    if not starting.done():
        await finish()
    await server.stop()


async def test_the_server_serves_only_when_the_first_scan_has_ended(loading):
    server, finish = loading
    async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        health = HealthStub(channel)
        for service in ("", "letters"):
            assert (await health.Check(HealthCheckRequest(service=service))).status == HealthCheckResponse.NOT_SERVING
        await finish()
        assert (await health.Check(HealthCheckRequest())).status == HealthCheckResponse.SERVING


async def test_a_model_that_is_loading_is_listed_so_and_unavailable(loading):
    server, _ = loading
    async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        status, *_ = (await ModelsStub(channel).ListModels(ListModelsRequest())).models
        assert status == models_pb2.ModelStatus(model="letters", version=1, state=models_pb2.MODEL_STATE_LOADING)
        with pytest.raises(aio.AioRpcError) as failure:
            await PredictionStub(channel).Predict(letters([[9, 0, 0]]))
    assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
    assert failure.value.details() == "model letters version 1 is LOADING"
