"""The client with asyncio.

Owns one channel and the inputs of the models that it was asked about. Does not know how requests are encoded, nor when a
call is tried again. Its twin with threads is `client`.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Self

import grpc
from grpc import aio  # type: ignore[attr-defined] # the stubs know it as a module only
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos.signet.v1 import models_pb2, models_pb2_grpc, prediction_pb2, prediction_pb2_grpc
from serving.client.answers import Answer, ModelDetails, ModelStatus, TensorSpec
from serving.client.calls import (
    DEFAULT_MAX_MESSAGE_BYTES,
    DEFAULT_TIMEOUT_SECONDS,
    Attempts,
    channel_options,
    serving_error,
)
from serving.client.decoding import decode_answer, decode_details, decode_status, decode_stream_answer
from serving.client.encoding import Inputs, Request, encode, only_input
from serving.errors import InvalidInput, ServingError, Unavailable


class AsyncClient:
    """As `Client`, every call awaited. Construct it in the event loop that it is used in."""

    def __init__(self, address: str, *, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES) -> None:
        self._channel = aio.insecure_channel(address, options=channel_options(max_message_bytes))
        self._prediction = prediction_pb2_grpc.PredictionStub(self._channel)
        self._models = models_pb2_grpc.ModelsStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        self._input_specs: dict[tuple[str, int | None], TensorSpec] = {}

    async def predict(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: int | None = None,
        top_k: int = 1,
        return_scores: bool = False,
        return_outputs: bool = False,
        id: str = "",  # noqa: A002 - the field's name
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Answer:
        """Ask as `Client.predict` does."""
        request = Request(model, inputs, version, top_k, return_scores, return_outputs, id)
        attempts = Attempts(timeout_seconds)
        try:
            message = await self._encode(request, attempts)
            return decode_answer(await self._call(self._prediction.Predict, message, attempts))
        except InvalidInput:
            # What was known of its input may be that of a version that is gone.
            self._input_specs.pop((model, version), None)
            raise

    async def predict_stream(
        self, requests: Iterable[Request] | AsyncIterable[Request], *, timeout_seconds: float | None = None
    ) -> AsyncIterator[Answer | ServingError]:
        """Ask as `Client.predict_stream` does."""
        unsent: list[BaseException] = []

        async def messages() -> AsyncIterator[prediction_pb2.PredictStreamRequest]:
            # gRPC iterates this in a task of its own, where an error would be lost.
            try:
                async for request in _each(requests):
                    message = await self._encode(request, Attempts(DEFAULT_TIMEOUT_SECONDS))
                    yield prediction_pb2.PredictStreamRequest(request=message)
            except Exception as error:  # noqa: BLE001 - raised below
                unsent.append(error)

        stream: Any = self._prediction.PredictStream(messages(), timeout=timeout_seconds)
        try:
            async for response in stream:
                yield decode_stream_answer(response)
        except grpc.RpcError as error:
            raise serving_error(error) from None
        finally:
            stream.cancel()
        if unsent:
            raise unsent[0]

    async def models(self, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> list[ModelStatus]:
        """List as `Client.models` does."""
        request = models_pb2.ListModelsRequest()
        response = await self._call(self._models.ListModels, request, Attempts(timeout_seconds))
        return list(map(decode_status, response.models))

    async def model(
        self, name: str, version: int | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> ModelDetails:
        """Describe as `Client.model` does."""
        return await self._model(name, version, Attempts(timeout_seconds))

    async def load_model(
        self, name: str, version: int | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> ModelStatus:
        """Load as `Client.load_model` does."""
        request = models_pb2.LoadModelRequest(model=name, version=version)
        response = await self._call(self._models.LoadModel, request, Attempts(timeout_seconds))
        return decode_status(response.status)

    async def unload_model(
        self, name: str, version: int | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> list[ModelStatus]:
        """Unload as `Client.unload_model` does."""
        request = models_pb2.UnloadModelRequest(model=name, version=version)
        response = await self._call(self._models.UnloadModel, request, Attempts(timeout_seconds))
        return list(map(decode_status, response.models))

    async def health(self, model: str = "", *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> bool:
        """Tell as `Client.health` does."""
        request = health_pb2.HealthCheckRequest(service=model)
        try:
            response = await self._health.Check(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            raise serving_error(error) from None
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)

    async def wait_ready(self, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Wait as `Client.wait_ready` does."""
        attempts = Attempts(timeout_seconds)
        while True:
            try:
                if await self.health(timeout_seconds=attempts.remaining_seconds()):
                    return
                raise Unavailable("the server is NOT_SERVING")
            except Unavailable as error:
                await asyncio.sleep(attempts.pause_after(error))

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _model(self, name: str, version: int | None, attempts: Attempts) -> ModelDetails:
        request = models_pb2.GetModelRequest(model=name, version=version)
        return decode_details(await self._call(self._models.GetModel, request, attempts))

    async def _encode(self, request: Request, attempts: Attempts) -> prediction_pb2.PredictRequest:
        if request.reads_files:
            return await asyncio.to_thread(encode, request)
        return encode(request, await self._input_spec(request, attempts))

    async def _input_spec(self, request: Request, attempts: Attempts) -> TensorSpec | None:
        if not request.needs_input_spec:
            return None
        key = (request.model, request.version)
        if key not in self._input_specs:
            self._input_specs[key] = only_input(await self._model(*key, attempts))
        return self._input_specs[key]

    async def _call(self, method: Any, message: Any, attempts: Attempts) -> Any:  # noqa: ANN401 - stubs of two kinds
        while True:
            try:
                return await method(message, timeout=attempts.remaining_seconds())
            except grpc.RpcError as failed:
                error = serving_error(failed)
            await asyncio.sleep(attempts.pause_after(error))


async def _each(requests: Iterable[Request] | AsyncIterable[Request]) -> AsyncIterator[Request]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
