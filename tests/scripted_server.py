"""A real gRPC server that says what a test tells it to: the peer for what a healthy server does not do on demand."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from protos.signet.v1 import models_pb2, prediction_pb2

ANSWER = prediction_pb2.PredictResponse(model="tiny", version=1)

Step = Callable[[grpc.ServicerContext], prediction_pb2.PredictResponse]


def answers(context: grpc.ServicerContext) -> prediction_pb2.PredictResponse:  # noqa: ARG001 - a Step
    """Answer."""
    return ANSWER


def fails(code: grpc.StatusCode, text: str, pushback_ms: str | None = None) -> Step:
    """Fail with this status, text and, if told, hint when to come back."""

    def step(context: grpc.ServicerContext) -> prediction_pb2.PredictResponse:
        if pushback_ms is not None:
            context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback_ms),))
        context.abort(code, text)
        raise AssertionError("abort raises")

    return step


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


@dataclass
class ScriptedServer:
    """What the server does with one Predict after the other, its last step for ever; and what it was asked."""

    steps: list[Step]
    address: str = ""
    requests: list[prediction_pb2.PredictRequest] = field(default_factory=list)
    times_described: int = 0
    authorizations: list[str] = field(default_factory=list)

    def predict(self, request: Any, context: Any) -> Any:
        """Take the next step."""
        self.requests.append(request)
        self._note(context)
        return self.steps[min(len(self.requests), len(self.steps)) - 1](context)

    def predict_stream(self, requests: Any, context: Any) -> Any:
        """Answer the first request; end the stream at the next one, as no server may, or when the caller ends it."""
        self._note(context)
        yield prediction_pb2.PredictStreamResponse(id=next(requests).request.id, response=ANSWER)
        next(requests, None)

    def _note(self, context: grpc.ServicerContext) -> None:
        self.authorizations += [str(value) for key, value in context.invocation_metadata() if key == "authorization"]

    def get_model(self, request: Any, context: Any) -> Any:  # noqa: ARG002 - gRPC passes both
        """Describe a READY model with one input, x [rows, 2] FP32."""
        self.times_described += 1
        status = models_pb2.ModelStatus(model=request.model, version=1, state=models_pb2.MODEL_STATE_READY)
        spec = models_pb2.TensorSpec(name="x", datatype="FP32", shape=[-1, 2])
        return models_pb2.GetModelResponse(status=status, inputs=[spec])


@contextmanager
def scripted_server(*steps: Step, max_message_bytes: int = 4 * 1024 * 1024) -> Iterator[ScriptedServer]:
    """Run the script on a free loopback port until the block ends; without steps, it answers."""
    script = ScriptedServer(list(steps) or [answers])
    options = [("grpc.max_receive_message_length", max_message_bytes), ("grpc.so_reuseport", 0)]
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads, options=options)
        server.add_registered_method_handlers(
            "signet.v1.Prediction",
            {
                "Predict": grpc.unary_unary_rpc_method_handler(
                    script.predict, prediction_pb2.PredictRequest.FromString, _bytes
                ),
                "PredictStream": grpc.stream_stream_rpc_method_handler(
                    script.predict_stream, prediction_pb2.PredictStreamRequest.FromString, _bytes
                ),
            },
        )
        get_model = grpc.unary_unary_rpc_method_handler(script.get_model, models_pb2.GetModelRequest.FromString, _bytes)
        server.add_registered_method_handlers("signet.v1.Models", {"GetModel": get_model})
        script.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield script
        finally:
            server.stop(None).wait()
