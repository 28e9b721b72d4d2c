"""A server that cannot serve as it was asked to refuses to start, and says which setting is at fault."""

import asyncio
import socket
from typing import Any

import pytest

from serving.inference.providers import ProviderUnavailable
from serving.server import Server
from serving.settings import Settings, StartError
from tests import tiny_models as tiny


def server_with(**settings: Any) -> Server:
    return Server(Settings(**{"port": 0, "metrics_port": 0, **settings}))


async def refusal(error: type[Exception], **settings: Any) -> str:
    server = server_with(**settings)
    try:
        with pytest.raises(error) as refused:
            await server.start()
    finally:
        await server.stop()
    return str(refused.value)


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


async def test_a_start_that_is_broken_off_while_it_takes_the_port_can_be_stopped(tmp_path):
    server = server_with(models=tmp_path)
    starting = asyncio.create_task(server.start())
    for _ in range(1_000_000):
        if server.port:
            break
        await asyncio.sleep(0)
    starting.cancel()
    await server.stop()
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_who_could_not_start_ends_at_once(tmp_path, taken_port):
    assert "is it taken?" in await refusal(StartError, models=tmp_path, port=taken_port, lame_duck_seconds=3600)


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_COMPRESSION"])
async def test_what_opentelemetry_cannot_read_in_its_environment_is_told(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "nonsense")
    text = await refusal(StartError, models=tmp_path, trace_endpoint="127.0.0.1:4317")
    assert text.startswith("trace_endpoint: OpenTelemetry cannot send; an OTEL_* variable is at fault: ")
    assert "nonsense" in text


async def test_cuda_that_is_not_installed_is_refused_even_where_no_model_needs_it_yet(tmp_path):
    text = await refusal(ProviderUnavailable, models=tmp_path, providers="cuda")
    assert text.startswith("providers=cuda was asked for, but the installed onnxruntime has only ")


async def test_a_repository_that_is_no_folder_is_refused(tmp_path):
    assert await refusal(StartError, models=tmp_path / "nowhere") == f"models: {tmp_path}/nowhere is no folder"


async def test_a_grpc_port_that_is_taken_is_refused(tmp_path, taken_port):
    text = await refusal(StartError, models=tmp_path, port=taken_port)
    assert text == f"port: 127.0.0.1:{taken_port} cannot be listened on; is it taken?"


async def test_a_metrics_port_that_is_taken_is_refused(tmp_path, taken_port):
    text = await refusal(StartError, models=tmp_path, metrics_port=taken_port)
    assert text == f"metrics_port: 127.0.0.1:{taken_port} cannot be listened on (Address already in use)"


async def test_a_folder_for_the_state_that_is_not_there_is_refused(tmp_path):
    text = await refusal(StartError, models=tmp_path, state=tmp_path / "nowhere")
    assert text == f"state: {tmp_path}/nowhere is no folder"


async def test_a_state_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "desired_state.json").write_text('{"schema": 1, "revision": "one", "models": {}}')
    text = await refusal(StartError, models=tmp_path)
    assert text == f"state: {tmp_path}/desired_state.json: revision: 'one' came; an integer >= 0 was expected"


async def test_auto_starts_on_what_is_there_and_says_what_it_took(tmp_path):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model())
    server = server_with(models=tmp_path, providers="auto")
    await server.start()
    try:
        assert server.repository.get("letters").provider.endswith("ExecutionProvider")
    finally:
        await server.stop()
