"""One question to a model, answered by onnxruntime in this process and by a server: the same bytes, or what differs.

Owns the comparison, and the way from arrays to wire tensors and onnxruntime's values. Does not know where models come
from.
"""

import ctypes
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

from protos.signet.v1.prediction_pb2 import PredictRequest, PredictResponse, Tensor

Value = tuple[str, tuple[int, ...], bytes]
"""Datatype, shape and raw bytes of a tensor, as signet.v1 has them."""

BFLOAT16 = 16
"""The number of BF16 in ONNX."""

DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
"""onnxruntime's names of the types that are served."""

LATER_RUNS = 4
"""Dropout's second run repeats the first, the third does not."""

FLOATS = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}


class CannotLoad(Exception):
    """onnxruntime itself does not load the model."""


class CannotRun(Exception):
    """onnxruntime itself fails on the question."""


@dataclass(frozen=True)
class Question:
    """A model's file and one array for each input; `name` is the folder it is served in."""

    name: str
    model: bytes
    inputs: dict[str, np.ndarray]
    alone: bool = True
    """Whether nothing but this question will be in a run; else the last bits may differ."""


def run_in_process(question: Question) -> dict[str, Value]:
    """The outputs of onnxruntime, called as the server does: one thread, all optimisations."""
    return _run(open_in_process(question.model), question)


def differs_from_itself(question: Question) -> bool:
    """Whether later runs of one session give other answers than the first, as of models that draw at random."""
    session = open_in_process(question.model)
    first = _run(session, question)
    return any(_run(session, question) != first for _ in range(LATER_RUNS))


def _run(session: ort.InferenceSession, question: Question) -> dict[str, Value]:
    specs = (*session.get_inputs(), *session.get_outputs())
    names = [one.name for one in session.get_outputs()]
    try:
        if any(DATATYPES[spec.type] == "BF16" for spec in specs):
            values = {name: _ort_value(array) for name, array in question.inputs.items()}
            outputs = [_value(output) for output in session.run_with_ort_values(names, values)]
        else:
            outputs = [_of_array(array) for array in session.run(None, question.inputs)]
    except Exception as error:
        raise CannotRun(_first_line(error)) from error
    return dict(zip(names, outputs, strict=True))


def open_in_process(model: bytes) -> ort.InferenceSession:
    """A session of one thread. Raises CannotLoad."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CannotLoad(_first_line(error)) from error


def request(question: Question) -> PredictRequest:
    """The question in raw tensors."""
    tensors = [
        Tensor(name=name, datatype=_datatype(array), shape=array.shape, raw=_raw(array))
        for name, array in question.inputs.items()
    ]
    return PredictRequest(model=question.name, tensors=tensors, return_outputs=True)


def answered(answer: PredictResponse) -> dict[str, Value]:
    """The outputs that a server gave."""
    return {tensor.name: (tensor.datatype, tuple(tensor.shape), tensor.raw) for tensor in answer.outputs}


def difference(question: Question, expected: dict[str, Value], got: dict[str, Value]) -> str:
    """Where the answers differ; "" if they are the same, to the bit if the question ran alone."""
    if list(expected) != list(got):
        return f"outputs {list(got)} came; {list(expected)} were expected"
    for name, want in expected.items():
        came = got[name]
        if want == came:
            continue
        if want[:2] != came[:2]:
            return f"{name}: {came[0]} {list(came[1])} came; {want[0]} {list(want[1])} was expected"
        if want[0] not in FLOATS:
            return f"{name}: other {want[0]} values"
        left, right = (np.frombuffer(one[2], FLOATS[one[0]]).astype(np.float64) for one in (want, came))
        close = np.allclose(left, right, rtol=2e-3 if want[0] == "FP16" else 1e-5, atol=1e-6, equal_nan=True)
        if question.alone or not close:
            return f"{name}: differs by {np.nanmax(np.abs(left - right)):.3g}"
    return ""


def _datatype(array: np.ndarray) -> str:
    if array.dtype.name == "bfloat16":
        return "BF16"
    if array.dtype.kind in "OUS":
        return "BYTES"
    return {"bool": "BOOL", "float16": "FP16", "float32": "FP32", "float64": "FP64"}.get(
        array.dtype.name, array.dtype.name.upper()
    )


def _raw(array: np.ndarray) -> bytes:
    if _datatype(array) != "BYTES":
        return array.tobytes()
    elements = [one.encode() if isinstance(one, str) else bytes(one) for one in array.ravel().tolist()]
    return b"".join(struct.pack("<I", len(one)) + one for one in elements)


def _ort_value(array: np.ndarray) -> ort.OrtValue:
    array = np.ascontiguousarray(array).reshape(array.shape)
    if array.dtype.name == "bfloat16":
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), BFLOAT16)
    return ort.OrtValue.ortvalue_from_numpy(array)


def _value(output: Any) -> Value:
    datatype = DATATYPES[output.data_type()]
    if datatype == "BF16":
        return datatype, tuple(output.shape()), ctypes.string_at(output.data_ptr(), output.tensor_size_in_bytes())
    return _of_array(output.numpy())


def _of_array(array: np.ndarray) -> Value:
    return _datatype(array), array.shape, _raw(array)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
