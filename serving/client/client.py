"""The client with threads.

Owns one channel and the inputs of the models that it was asked about. Does not know how requests are encoded, nor when a
call is tried again. Its asyncio twin is `async_client`.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

import grpc
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

Response = TypeVar("Response")


class Client:
    """A client of the server at `address` ("host:port"), for any number of threads. Close it, or use it in `with`.

    `max_message_bytes` is the size of one message, sent or received. Every call raises the errors of `serving.errors`
    and takes `timeout_seconds`, within which it is tried again while the server is Unavailable, or when it was
    Overloaded and said when to come back.
    """

    def __init__(self, address: str, *, max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES) -> None:
        self._channel = grpc.insecure_channel(address, options=channel_options(max_message_bytes))
        self._prediction = prediction_pb2_grpc.PredictionStub(self._channel)
        self._models = models_pb2_grpc.ModelsStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        self._input_specs: dict[tuple[str, int | None], TensorSpec] = {}

    def predict(
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
        """Ask `model` about one row or many; one image or one row gives one prediction.

        `inputs`: an array for a model with one input ([rows, …], or one row without its axis; cast where no value
        changes); a dict of name to array, sent as it is; a dict of feature name to number, or a list of them; the path
        or the bytes of an image, or a list of them.
        """
        request = Request(model, inputs, version, top_k, return_scores, return_outputs, id)
        attempts = Attempts(timeout_seconds)
        try:
            message = encode(request, self._input_spec(request, attempts))
            return decode_answer(self._call(self._prediction.Predict, message, attempts))
        except InvalidInput:
            # What was known of its input may be that of a version that is gone.
            self._input_specs.pop((model, version), None)
            raise

    def predict_stream(
        self, requests: Iterable[Request], *, timeout_seconds: float | None = None
    ) -> Iterator[Answer | ServingError]:
        """Ask on one stream; answers come in the order of the requests, for one that failed its error.

        `timeout_seconds` is for the whole stream, None without end. A stream that breaks is not tried again. A request
        that cannot be encoded ends it: its error is raised after the answers to those before it.
        """
        unsent: list[BaseException] = []

        def messages() -> Iterator[prediction_pb2.PredictStreamRequest]:
            # gRPC iterates this in a thread of its own, where an error would be lost.
            try:
                for request in requests:
                    spec = self._input_spec(request, Attempts(DEFAULT_TIMEOUT_SECONDS))
                    yield prediction_pb2.PredictStreamRequest(request=encode(request, spec))
            except Exception as error:  # noqa: BLE001 - raised below
                unsent.append(error)

        stream: Any = self._prediction.PredictStream(messages(), timeout=timeout_seconds)
        try:
            yield from map(decode_stream_answer, stream)
        except grpc.RpcError as error:
            raise serving_error(error) from None
        finally:
            stream.cancel()
        if unsent:
            raise unsent[0]

    def models(self, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> list[ModelStatus]:
        """Every version that the server found, by name and version."""
        request = models_pb2.ListModelsRequest()
        response = self._call(self._models.ListModels, request, Attempts(timeout_seconds))
        return list(map(decode_status, response.models))

    def model(
        self, name: str, version: int | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> ModelDetails:
        """All about one version of a model; None is its default."""
        return self._model(name, version, Attempts(timeout_seconds))

    def load_model(
        self, name: str, version: int | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> ModelStatus:
        """Make a version READY, None the highest on disk; PermissionDenied unless the server allows control."""
        request = models_pb2.LoadModelRequest(model=name, version=version)
        response = self._call(self._models.LoadModel, request, Attempts(timeout_seconds))
        return decode_status(response.status)

    def unload_model(
        self, name: str, version: int | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> list[ModelStatus]:
        """Drain and free a version, None all of them; PermissionDenied unless the server allows control."""
        request = models_pb2.UnloadModelRequest(model=name, version=version)
        response = self._call(self._models.UnloadModel, request, Attempts(timeout_seconds))
        return list(map(decode_status, response.models))

    def health(self, model: str = "", *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> bool:
        """Whether the server, or `model`, is SERVING now: one try, Unavailable if no server answers."""
        request = health_pb2.HealthCheckRequest(service=model)
        try:
            response = self._health.Check(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            raise serving_error(error) from None
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)

    def wait_ready(self, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Return once the server is SERVING; raises Unavailable if it is not in time."""
        attempts = Attempts(timeout_seconds)
        while True:
            try:
                if self.health(timeout_seconds=attempts.remaining_seconds()):
                    return
                raise Unavailable("the server is NOT_SERVING")
            except Unavailable as error:
                time.sleep(attempts.pause_after(error))

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _model(self, name: str, version: int | None, attempts: Attempts) -> ModelDetails:
        request = models_pb2.GetModelRequest(model=name, version=version)
        return decode_details(self._call(self._models.GetModel, request, attempts))

    def _input_spec(self, request: Request, attempts: Attempts) -> TensorSpec | None:
        if not request.needs_input_spec:
            return None
        key = (request.model, request.version)
        if key not in self._input_specs:
            self._input_specs[key] = only_input(self._model(*key, attempts))
        return self._input_specs[key]

    def _call(self, method: grpc.UnaryUnaryMultiCallable[Any, Response], message: Any, attempts: Attempts) -> Response:  # noqa: ANN401
        while True:
            try:
                return method(message, timeout=attempts.remaining_seconds())
            except grpc.RpcError as failed:
                error = serving_error(failed)
            time.sleep(attempts.pause_after(error))
