"""A small server of the Open Inference Protocol, with one identity model, that can be made to break its promises.

It has the methods of the specification and no extension. `model`: a FP32 → a_out, b INT64 → b_out, [rows, 2].
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from protos.inference import metadata_pb2, tensors_pb2
from protos.inference.tensors_pb2 import ModelInferRequest, ModelInferResponse
from serving.client.conformance import tensor_forms

SERVICE = "inference.GRPCInferenceService"
MODEL = "identity"
DATATYPES = {"a": "FP32", "b": "INT64"}

Answer = Callable[[Any], Message | bytes]
Fault = Callable[[ModelInferRequest, ModelInferResponse], ModelInferResponse | bytes]


class _Refused(Exception):
    pass


def _infer(request: ModelInferRequest) -> ModelInferResponse:
    if request.model_name != MODEL:
        raise _Refused("no such model")
    answer = tensors_pb2.ModelInferResponse(model_name=MODEL, id=request.id)
    raw = list(request.raw_input_contents)
    if sorted(tensor.name for tensor in request.inputs) != sorted(DATATYPES) or (raw and len(raw) != len(DATATYPES)):
        raise _Refused("other inputs than a and b")
    wanted = {output.name for output in request.outputs} or {f"{name}_out" for name in DATATYPES}
    if wanted - {f"{name}_out" for name in DATATYPES}:
        raise _Refused("no such output")
    for index, tensor in enumerate(request.inputs):
        shape = tuple(tensor.shape)
        if tensor.datatype != DATATYPES[tensor.name] or shape[1:] != (2,) or (raw and tensor.contents.ListFields()):
            raise _Refused("another datatype or shape, or two forms")
        if raw:
            tensor_forms.from_raw(raw[index], tensor.datatype, shape)
        else:
            tensor_forms.from_typed(tensor.contents, tensor.datatype, shape)
        if f"{tensor.name}_out" in wanted:
            answer.outputs.add(
                name=f"{tensor.name}_out", datatype=tensor.datatype, shape=shape, contents=tensor.contents
            )
            answer.raw_output_contents.extend(raw[index : index + 1])
    return answer


def _metadata(request: metadata_pb2.ModelMetadataRequest) -> metadata_pb2.ModelMetadataResponse:
    if request.name != MODEL:
        raise _Refused("no such model")
    answer = metadata_pb2.ModelMetadataResponse(name=MODEL, platform="tests_identity")
    for name, datatype in DATATYPES.items():
        answer.inputs.add(name=name, datatype=datatype, shape=[-1, 2])
        answer.outputs.add(name=f"{name}_out", datatype=datatype, shape=[-1, 2])
    return answer


def _handler(kind: type[Message], answer: Answer) -> Any:
    def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            answered = answer(kind.FromString(request))
        except (DecodeError, _Refused, tensor_forms.Unreadable) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error) or "no message")
            raise AssertionError("abort raises") from error
        return answered if isinstance(answered, bytes) else answered.SerializeToString()

    return grpc.unary_unary_rpc_method_handler(handle)


@contextmanager
def identity_server(fault: Fault = lambda _, answer: answer, **methods: Answer) -> Iterator[str]:
    """Serve until the block ends; the address. `fault` spoils the answers of ModelInfer; `methods` replace others."""
    answers: dict[str, tuple[type[Message], Answer]] = {
        "ServerLive": (metadata_pb2.ServerLiveRequest, lambda _: metadata_pb2.ServerLiveResponse(live=True)),
        "ServerReady": (metadata_pb2.ServerReadyRequest, lambda _: metadata_pb2.ServerReadyResponse(ready=True)),
        "ServerMetadata": (
            metadata_pb2.ServerMetadataRequest,
            lambda _: metadata_pb2.ServerMetadataResponse(name="tests", version="1"),
        ),
        "ModelReady": (
            metadata_pb2.ModelReadyRequest,
            lambda request: metadata_pb2.ModelReadyResponse(ready=request.name == MODEL),
        ),
        "ModelMetadata": (metadata_pb2.ModelMetadataRequest, _metadata),
        "ModelInfer": (ModelInferRequest, lambda request: fault(request, _infer(request))),
    }
    handlers = {name: _handler(kind, methods.get(name, answer)) for name, (kind, answer) in answers.items()}
    with ThreadPoolExecutor(8) as threads:
        server = grpc.server(threads, options=[("grpc.so_reuseport", 0)])
        server.add_registered_method_handlers(SERVICE, handlers)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield address
        finally:
            server.stop(None).wait()
