"""The client for asyncio.

Owns its channels and the inputs of models that it has asked for. Does not know how requests are encoded, which errors
there are, or when a call is tried again.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Self

import grpc
from grpc import aio

from protos.signet.v1 import prediction_pb2
from serving.client import operations
from serving.client.answers import Answer, Failure, ModelDetails, ModelStatus, TensorSpec, Traffic
from serving.client.batches import DEFAULT_BATCH_ROWS, Batches, Progress
from serving.client.calls import DEFAULT_TIMEOUT_SECONDS, Attempts, serving_error
from serving.client.connection import DEFAULT_MAX_MESSAGE_BYTES, Compression, Connection, Tls
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
        connections: int = 1,
        tls: Tls | None = None,
        token: str = "",
        compression: Compression = "none",
        keep_alive_seconds: float | None = None,
        round_robin: bool = False,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self.connection = Connection(
            address, max_message_bytes, connections, tls, token, compression, keep_alive_seconds, round_robin
        )
        self._channels: list[aio.Channel] = []
        self._turn = itertools.count()
        self._input_of: dict[tuple[str, int | None], TensorSpec] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the calls under way and disconnect."""
        for channel in self._channels:
            await channel.close()

    async def predict(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: int | None = None,
        version_label: str | None = None,
        top_k: int = 1,
        return_scores: bool = False,
        return_outputs: bool = False,
        id: str = "",  # noqa: A002 - the message's name for it
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Label rows, as `Client.predict` does."""
        request = Request(model, inputs, version, top_k, return_scores, return_outputs, id, version_label)
        return await self._predict(request, timeout_seconds)

    async def predict_all(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: int | None = None,
        top_k: int = 1,
        return_scores: bool = False,
        return_outputs: bool = False,
        batch_rows: int = DEFAULT_BATCH_ROWS,
        on_progress: Progress | None = None,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Label rows of any number, as `Client.predict_all` does."""
        request = Request(model, inputs, version, top_k, return_scores, return_outputs)
        batches = Batches(request, batch_rows, on_progress)
        while batches.left:
            # Alone: the first part, since it chooses the version, and those that a stream could not get through.
            try:
                batches.add(await self._predict(batches.next(), timeout_seconds))
            except InvalidInput as error:
                raise batches.located(error) from None
            if not batches.left:
                break
            seconds = (self._timeout_seconds if timeout_seconds is None else timeout_seconds) * batches.left
            async with aclosing(self.predict_stream(batches.pending(), timeout_seconds=seconds)) as outcomes:
                try:
                    async for outcome in outcomes:
                        if not batches.passes(outcome):
                            break
                except Unavailable:
                    continue
        return batches.joined()

    async def predict_stream(
        self, requests: Iterable[Request] | AsyncIterable[Request], *, timeout_seconds: float | None = None
    ) -> AsyncGenerator[Answer | Failure, None]:
        """Answer requests over one stream, as `Client.predict_stream` does; they may come from an async iterator."""
        order = StreamOrder()
        method: aio.StreamStreamMultiCallable[bytes, bytes] = self._next_channel().stream_stream(operations.STREAM_PATH)
        call = method(self._encoded(requests, order), timeout=timeout_seconds, metadata=self.connection.metadata)
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
        self, name: str, version: int | None = None, *, policy: str = "", timeout_seconds: float | None = None
    ) -> ModelStatus:
        """Make a version READY, by default the highest on disk, or what a `policy` wants, such as "latest:2".

        Raises PermissionDenied unless control is on.
        """
        return await self._call(operations.load_model(name, version, policy), self._attempts(timeout_seconds))

    async def unload_model(
        self, name: str, version: int | None = None, *, timeout_seconds: float | None = None
    ) -> tuple[ModelStatus, ...]:
        """Drain and free a version or all, as `Client.unload_model` does."""
        return await self._call(operations.unload_model(name, version), self._attempts(timeout_seconds))

    async def set_label(self, name: str, label: str, version: int, *, timeout_seconds: float | None = None) -> Traffic:
        """Move a label to a READY version. Raises PermissionDenied unless control is on."""
        return await self._call(operations.set_label(name, label, version), self._attempts(timeout_seconds))

    async def remove_label(self, name: str, label: str, *, timeout_seconds: float | None = None) -> Traffic:
        """Forget a label. Raises PermissionDenied unless control is on."""
        return await self._call(operations.remove_label(name, label), self._attempts(timeout_seconds))

    async def set_split(
        self, name: str, percent: Mapping[str, float], *, timeout_seconds: float | None = None
    ) -> Traffic:
        """Send these percentages of the requests without a version to labels; none ends the split.

        Raises PermissionDenied unless control is on.
        """
        return await self._call(operations.set_split(name, percent), self._attempts(timeout_seconds))

    async def health(self, model: str = "", *, timeout_seconds: float | None = None) -> bool:
        """Whether the server, or a model of it, is SERVING now: asked once, as by `Client.health`."""
        return await self._call(operations.health(model), self._attempts(timeout_seconds).once())

    async def wait_ready(self, timeout_seconds: float | None = None) -> None:
        """Wait until the server is SERVING, as `Client.wait_ready` does."""
        await self._call(operations.ready(), self._attempts(timeout_seconds))

    def _next_channel(self) -> aio.Channel:
        if not self._channels:
            # By the first call, since they belong to the event loop that runs then.
            self._channels = self.connection.async_channels()
        return self._channels[next(self._turn) % len(self._channels)]

    def _attempts(self, timeout_seconds: float | None) -> Attempts:
        return Attempts(self._timeout_seconds if timeout_seconds is None else timeout_seconds)

    async def _predict(self, request: Request, timeout_seconds: float | None) -> Answer:
        attempts = self._attempts(timeout_seconds)
        try:
            return await self._call(operations.predict(await self._encode(request, attempts)), attempts)
        except InvalidInput:
            # Another version may have become the default, with another input.
            self._input_of.pop((request.model, request.version), None)
            raise

    async def _call(self, operation: Operation[Result], attempts: Attempts) -> Result:
        metadata = self.connection.metadata
        while True:
            error: ServingError
            # Another try goes over another connection, and so past a worker that does not answer.
            method: aio.UnaryUnaryMultiCallable[bytes, bytes] = self._next_channel().unary_unary(operation.path)
            try:
                seconds = attempts.remaining_seconds()
                return operation.decode(await method(operation.request, timeout=seconds, metadata=metadata))
            except grpc.RpcError as failed:
                error = serving_error(failed, operation.about)
            except Unavailable as not_ready:
                error = not_ready
            await asyncio.sleep(attempts.pause_after(error))

    async def _encode(self, request: Request, attempts: Attempts) -> prediction_pb2.PredictRequest:
        if request.needs_input_spec:
            return encode(request, await self._spec(request, attempts))
        return await asyncio.to_thread(encode, request) if request.takes_time else encode(request)

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
