"""The client for threads.

Owns its channels and the inputs of models that it has asked for. Does not know how requests are encoded, which errors
there are, or when a call is tried again.
"""

import itertools
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from types import TracebackType
from typing import Self

import grpc

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


class Client:
    """Asks the server at `address`, "host:port". May be used by several threads at once; close it, or use `with`.

    `timeout_seconds` is the time that a call has, retries included, unless the call says otherwise. No message is
    larger than `max_message_bytes`, sent or received. Calls raise the errors of `serving.errors`.

    `connections`: calls take them in turn; a connection reaches one worker of the server. `token` goes along as
    `authorization: Bearer …`, over `tls` or to this machine alone. `compression` is of what is sent. After
    `keep_alive_seconds` without a message a connection is tested, so that no balancer forgets it and a dead one is
    noticed. `round_robin`: each connection goes to every address of the host's name, and calls take those in turn.
    """

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
        self._channels = self.connection.channels()
        self._turn = itertools.count()
        self._input_of: dict[tuple[str, int | None], TensorSpec] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the calls under way and disconnect."""
        for channel in self._channels:
            channel.close()

    def predict(
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
        """Label rows; `inputs` are one or several, see `serving.client.encoding.Inputs`.

        One image, one dict of features, or an array without a rows axis is one row.
        """
        return self._predict(
            Request(model, inputs, version, top_k, return_scores, return_outputs, id, version_label), timeout_seconds
        )

    def predict_all(
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
        """Label rows of any number: `predict` in parts of at most `batch_rows` over one stream, and one answer to all.

        Arrays must have their rows axis. `on_progress(answered, rows)` is called as the parts' answers come. One
        version answers every row. `timeout_seconds` is the time of each part; parts that met an Unavailable or an
        Overloaded are sent again.
        """
        request = Request(model, inputs, version, top_k, return_scores, return_outputs)
        batches = Batches(request, batch_rows, on_progress)
        while batches.left:
            # Alone: the first part, since it chooses the version, and those that a stream could not get through.
            try:
                batches.add(self._predict(batches.next(), timeout_seconds))
            except InvalidInput as error:
                raise batches.located(error) from None
            if not batches.left:
                break
            seconds = (self._timeout_seconds if timeout_seconds is None else timeout_seconds) * batches.left
            with closing(self.predict_stream(batches.pending(), timeout_seconds=seconds)) as outcomes:
                try:
                    all(map(batches.passes, outcomes))
                except Unavailable:
                    continue
        return batches.joined()

    def predict_stream(
        self, requests: Iterable[Request], *, timeout_seconds: float | None = None
    ) -> Generator[Answer | Failure, None, None]:
        """Answer requests over one stream, in their order; one that fails is a Failure and the others go on.

        `requests` is read ahead as far as the server takes them in, by another thread. There is no retry, and no limit
        on the time unless `timeout_seconds` sets one for the whole stream.
        """
        order = StreamOrder()
        method: grpc.StreamStreamMultiCallable[bytes, bytes] = self._next_channel().stream_stream(
            operations.STREAM_PATH
        )
        call = method(self._encoded(requests, order), timeout_seconds, self.connection.metadata)
        try:
            for data in call:
                yield from order.answers(data)
        except grpc.RpcError as failed:
            raise serving_error(failed, operations.STREAM_PATH) from None
        finally:
            call.cancel()
        yield from order.rest()

    def models(self, *, timeout_seconds: float | None = None) -> tuple[ModelStatus, ...]:
        """Every version that the server found, and its state."""
        return self._call(operations.list_models(), self._attempts(timeout_seconds))

    def model(self, name: str, version: int | None = None, *, timeout_seconds: float | None = None) -> ModelDetails:
        """All about one version, by default the model's default."""
        return self._call(operations.get_model(name, version), self._attempts(timeout_seconds))

    def load_model(
        self, name: str, version: int | None = None, *, policy: str = "", timeout_seconds: float | None = None
    ) -> ModelStatus:
        """Make a version READY, by default the highest on disk, or what a `policy` wants, such as "latest:2".

        Raises PermissionDenied unless control is on.
        """
        return self._call(operations.load_model(name, version, policy), self._attempts(timeout_seconds))

    def unload_model(
        self, name: str, version: int | None = None, *, timeout_seconds: float | None = None
    ) -> tuple[ModelStatus, ...]:
        """Drain and free a version, by default all of them. Raises PermissionDenied unless control is on."""
        return self._call(operations.unload_model(name, version), self._attempts(timeout_seconds))

    def set_label(self, name: str, label: str, version: int, *, timeout_seconds: float | None = None) -> Traffic:
        """Move a label to a READY version. Raises PermissionDenied unless control is on."""
        return self._call(operations.set_label(name, label, version), self._attempts(timeout_seconds))

    def remove_label(self, name: str, label: str, *, timeout_seconds: float | None = None) -> Traffic:
        """Forget a label. Raises PermissionDenied unless control is on."""
        return self._call(operations.remove_label(name, label), self._attempts(timeout_seconds))

    def set_split(self, name: str, percent: Mapping[str, float], *, timeout_seconds: float | None = None) -> Traffic:
        """Send these percentages of the requests without a version to labels; none ends the split.

        Raises PermissionDenied unless control is on.
        """
        return self._call(operations.set_split(name, percent), self._attempts(timeout_seconds))

    def health(self, model: str = "", *, timeout_seconds: float | None = None) -> bool:
        """Whether the server, or a model of it, is SERVING now: asked once.

        Raises Unavailable if nobody answers, ModelNotFound.
        """
        return self._call(operations.health(model), self._attempts(timeout_seconds).once())

    def wait_ready(self, timeout_seconds: float | None = None) -> None:
        """Wait until the server is SERVING. Raises Unavailable if it is not in time."""
        self._call(operations.ready(), self._attempts(timeout_seconds))

    def _next_channel(self) -> grpc.Channel:
        return self._channels[next(self._turn) % len(self._channels)]

    def _attempts(self, timeout_seconds: float | None) -> Attempts:
        return Attempts(self._timeout_seconds if timeout_seconds is None else timeout_seconds)

    def _predict(self, request: Request, timeout_seconds: float | None) -> Answer:
        attempts = self._attempts(timeout_seconds)
        try:
            return self._call(operations.predict(self._encode(request, attempts)), attempts)
        except InvalidInput:
            # Another version may have become the default, with another input.
            self._input_of.pop((request.model, request.version), None)
            raise

    def _call(self, operation: Operation[Result], attempts: Attempts) -> Result:
        while True:
            error: ServingError
            # Another try goes over another connection, and so past a worker that does not answer.
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._next_channel().unary_unary(operation.path)
            try:
                return operation.decode(
                    method(operation.request, attempts.remaining_seconds(), self.connection.metadata)
                )
            except grpc.RpcError as failed:
                error = serving_error(failed, operation.about)
            except Unavailable as not_ready:
                error = not_ready
            time.sleep(attempts.pause_after(error))

    def _encode(self, request: Request, attempts: Attempts) -> prediction_pb2.PredictRequest:
        return encode(request, self._spec(request, attempts) if request.needs_input_spec else None)

    def _spec(self, request: Request, attempts: Attempts) -> TensorSpec:
        key = (request.model, request.version)
        if key not in self._input_of:
            self._input_of[key] = only_input(self._call(operations.get_model(*key), attempts))
        return self._input_of[key]

    def _encoded(self, requests: Iterable[Request], order: StreamOrder) -> Iterator[bytes]:
        try:
            for request in requests:
                try:
                    message = self._encode(request, self._attempts(None))
                except ServingError as error:
                    order.refused(request.id, error)
                else:
                    yield order.sent(message)
        except Exception as error:  # noqa: BLE001 - gRPC would swallow what the caller's iterator raises
            order.broken = error
        order.complete = True
