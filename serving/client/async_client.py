"""The client for asyncio.

Owns a channel and the inputs of models that it has asked for. Does not know how requests are encoded, which errors
there are, or when a call is tried again.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import Self

import grpc
from grpc import aio

from protos.signet.v1 import prediction_pb2
from serving.client import operations
from serving.client.answers import Answer, Failure, ModelDetails, ModelStatus, TensorSpec
from serving.client.calls import (
    DEFAULT_MAX_MESSAGE_BYTES,
    DEFAULT_TIMEOUT_SECONDS,
    Attempts,
    channel_options,
    serving_error,
)
from serving.client.encoding import Inputs, Request, encode, only_input
from serving.client.operations import Operation, Result
from serving.client.stream import StreamOrder
from serving.errors import InvalidInput, ServingError, Unavailable


class AsyncClient:
    """`Client` for asyncio: the same methods, awaited, for many tasks of one event loop. `async with` closes it."""

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._address = address
        self._options = channel_options(max_message_bytes)
        self._opened: aio.Channel | None = None
        self._input_of: dict[tuple[str, int | None], TensorSpec] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the calls under way and disconnect."""
        if self._opened is not None:
            await self._opened.close()

    async def predict(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: int | None = None,
        top_k: int = 1,
        return_scores: bool = False,
        return_outputs: bool = False,
        id: str = "",  # noqa: A002 - the message's name for it
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Label rows, as `Client.predict` does."""
        request = Request(model, inputs, version, top_k, return_scores, return_outputs, id)
        attempts = self._attempts(timeout_seconds)
        try:
            return await self._call(operations.predict(await self._encode(request, attempts)), attempts)
        except InvalidInput:
            # Another version may have become the default, with another input.
            self._input_of.pop((model, version), None)
            raise

    async def predict_stream(
        self, requests: Iterable[Request] | AsyncIterable[Request], *, timeout_seconds: float | None = None
    ) -> AsyncIterator[Answer | Failure]:
        """Answer requests over one stream, as `Client.predict_stream` does; they may come from an async iterator."""
        order = StreamOrder()
        method: aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(operations.STREAM_PATH)
        call = method(self._encoded(requests, order), timeout=timeout_seconds)
        try:
            async for data in call:
                for answer in order.answers(data):
                    yield answer
        except grpc.RpcError as failed:
            raise serving_error(failed, operations.STREAM_PATH) from None
        finally:
            call.cancel()
        for answer in order.rest():
            yield answer

    async def models(self, *, timeout_seconds: float | None = None) -> tuple[ModelStatus, ...]:
        """Every version that the server found, and its state."""
        return await self._call(operations.list_models(), self._attempts(timeout_seconds))

    async def model(
        self, name: str, version: int | None = None, *, timeout_seconds: float | None = None
    ) -> ModelDetails:
        """All about one version, as `Client.model` tells it."""
        return await self._call(operations.get_model(name, version), self._attempts(timeout_seconds))

    async def load_model(
        self, name: str, version: int | None = None, *, timeout_seconds: float | None = None
    ) -> ModelStatus:
        """Make a version READY, as `Client.load_model` does."""
        return await self._call(operations.load_model(name, version), self._attempts(timeout_seconds))

    async def unload_model(
        self, name: str, version: int | None = None, *, timeout_seconds: float | None = None
    ) -> tuple[ModelStatus, ...]:
        """Drain and free a version or all, as `Client.unload_model` does."""
        return await self._call(operations.unload_model(name, version), self._attempts(timeout_seconds))

    async def health(self, model: str = "", *, timeout_seconds: float | None = None) -> bool:
        """Whether the server, or a model of it, is SERVING now: asked once, as by `Client.health`."""
        return await self._call(operations.health(model), self._attempts(timeout_seconds).once())

    async def wait_ready(self, timeout_seconds: float | None = None) -> None:
        """Wait until the server is SERVING, as `Client.wait_ready` does."""
        await self._call(operations.ready(), self._attempts(timeout_seconds))

    @property
    def _channel(self) -> aio.Channel:
        """Opened by the first call, since it belongs to the event loop that runs then."""
        if self._opened is None:
            self._opened = aio.insecure_channel(self._address, self._options)
        return self._opened

    def _attempts(self, timeout_seconds: float | None) -> Attempts:
        return Attempts(self._timeout_seconds if timeout_seconds is None else timeout_seconds)

    async def _call(self, operation: Operation[Result], attempts: Attempts) -> Result:
        method: aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(operation.path)
        while True:
            error: ServingError
            try:
                return operation.decode(await method(operation.request, timeout=attempts.remaining_seconds()))
            except grpc.RpcError as failed:
                error = serving_error(failed, operation.about)
            except Unavailable as not_ready:
                error = not_ready
            await asyncio.sleep(attempts.pause_after(error))

    async def _encode(self, request: Request, attempts: Attempts) -> prediction_pb2.PredictRequest:
        if request.needs_input_spec:
            return encode(request, await self._spec(request, attempts))
        return await asyncio.to_thread(encode, request) if request.reads_files else encode(request)

    async def _spec(self, request: Request, attempts: Attempts) -> TensorSpec:
        key = (request.model, request.version)
        if key not in self._input_of:
            self._input_of[key] = only_input(await self._call(operations.get_model(*key), attempts))
        return self._input_of[key]

    async def _encoded(
        self, requests: Iterable[Request] | AsyncIterable[Request], order: StreamOrder
    ) -> AsyncIterator[bytes]:
        try:
            async for request in _each(requests):
                try:
                    message = await self._encode(request, self._attempts(None))
                except ServingError as error:
                    order.refused(request.id, error)
                else:
                    yield order.sent(message)
        except Exception as error:  # noqa: BLE001 - gRPC would swallow what the caller's iterator raises
            order.broken = error
        order.complete = True


async def _each(requests: Iterable[Request] | AsyncIterable[Request]) -> AsyncIterator[Request]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
