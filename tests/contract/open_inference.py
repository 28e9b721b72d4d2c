"""Requests of the Open Inference Protocol that contract tests send."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from protos.inference.service_pb2_grpc import GRPCInferenceServiceStub
from protos.inference.tensors_pb2 import InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse
from serving.rpc.open_inference_decoding import CONTENTS_FIELD

NUMPY: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


def stub(connection: Any) -> GRPCInferenceServiceStub:
    """The service on a connection's channel."""
    return GRPCInferenceServiceStub(connection.channel)


def raw(model: str, rows: Any, datatype: str = "FP32", name: str = "x", **fields: Any) -> ModelInferRequest:
    """One input with raw contents."""
    array = np.array(rows, NUMPY[datatype])
    tensor = ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=array.shape)
    return ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[array.tobytes()], **fields)


def typed(
    model: str, shape: Iterable[int], values: Iterable[Any], datatype: str = "FP32", name: str = "x", **fields: Any
) -> ModelInferRequest:
    """One input with typed contents."""
    contents = InferTensorContents(**{CONTENTS_FIELD[datatype]: values})
    tensor = ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape, contents=contents)
    return ModelInferRequest(model_name=model, inputs=[tensor], **fields)


def output(name: str, **parameters: Any) -> ModelInferRequest.InferRequestedOutputTensor:
    """An output that is asked for; whole numbers become int64 parameters."""
    return ModelInferRequest.InferRequestedOutputTensor(name=name, parameters=dict_of(parameters))


def classified(name: str, count: int) -> ModelInferRequest.InferRequestedOutputTensor:
    """An output of which the best classes are asked for."""
    return output(name, classification=count)


def dict_of(values: dict[str, Any]) -> dict[str, InferParameter]:
    """Parameters by name."""
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}
    return {
        name: value if isinstance(value, InferParameter) else InferParameter(**{kinds[type(value)]: value})
        for name, value in values.items()
    }


def arrays(answer: ModelInferResponse) -> dict[str, np.ndarray]:
    """The outputs of a raw answer by name."""
    return {
        tensor.name: np.frombuffer(contents, NUMPY[tensor.datatype]).reshape(tensor.shape)
        for tensor, contents in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def texts(contents: bytes) -> list[str]:
    """The elements of raw BYTES."""
    found, position = [], 0
    while position < len(contents):
        end = position + 4 + int.from_bytes(contents[position : position + 4], "little")
        found.append(contents[position + 4 : end].decode())
        position = end
    return found
