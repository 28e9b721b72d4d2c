"""Arrays ↔ wire tensors, and the casts that an array may go through on its way.

Owns the client's datatype names and the rule which casts are harmless. Does not know models nor requests.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.signet.v1 import prediction_pb2
from serving.client.answers import TensorSpec
from serving.errors import InternalError, InvalidInput

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
    # NumPy has no such dtype: on the wire the upper half of a float32, here the whole.
    "BF16": np.dtype(np.float32),
}
"""Datatype name to the dtype of its arrays; the elements of BYTES are Python bytes."""

_TEXT_KINDS = "OSU"


def fit(array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """`array` in the dtype and rank of `spec`: cast where no value changes, one row without a rows axis gets it.

    Floats of one width become floats of another, since that is what a literal's default dtype calls for. Raises
    InvalidInput naming both datatypes for every other cast, floats to integers among them: they may be scaled.
    """
    return _with_rows(_cast(array, spec), spec)


def encode_tensor(name: str, array: NDArray[Any], datatype: str = "") -> prediction_pb2.Tensor:
    """A wire tensor with raw contents, of the array's own datatype unless told (BF16); raises InvalidInput for none."""
    datatype = datatype or datatype_of(name, array)
    if datatype == "BYTES":
        raw = b"".join(struct.pack("<I", len(one)) + one for one in _elements(name, array))
    elif datatype == "BF16":
        raw = _upper_halves(array).tobytes()
    else:
        raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return prediction_pb2.Tensor(name=name, datatype=datatype, shape=array.shape, raw=raw)


def decode_tensor(tensor: prediction_pb2.Tensor) -> NDArray[Any]:
    """The array of a wire tensor with raw contents, writable; BYTES become an object array of bytes, BF16 float32.

    Raises InternalError for an unknown datatype, and for contents that do not fill the shape.
    """
    dtype = DATATYPES.get(tensor.datatype)
    if dtype is None:
        raise InternalError(f"output {tensor.name}: this client does not know the datatype {tensor.datatype}")
    try:
        return _unpack(tensor, dtype).reshape(tuple(tensor.shape))
    except ValueError as error:
        shape = list(tensor.shape)
        raise InternalError(f"output {tensor.name}: {len(tensor.raw)} bytes came; they do not fill {shape}") from error


def datatype_of(name: str, array: NDArray[Any]) -> str:
    """The datatype name of an array, in whatever byte order; raises InvalidInput if there is none."""
    if array.dtype.kind in _TEXT_KINDS:
        return "BYTES"
    native = array.dtype.newbyteorder("=")
    for datatype, dtype in DATATYPES.items():
        if dtype == native:
            return datatype
    raise InvalidInput(f"input {name}: dtype {array.dtype} came; one of {', '.join(DATATYPES)} was expected")


def _unpack(tensor: prediction_pb2.Tensor, dtype: np.dtype[Any]) -> NDArray[Any]:
    if tensor.datatype == "BYTES":
        elements = _split(tensor.raw)
        flat = np.empty(len(elements), dtype=np.object_)
        flat[:] = elements
        return flat
    if tensor.datatype == "BF16":
        return (np.frombuffer(tensor.raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(tensor.raw, dtype.newbyteorder("<")).astype(dtype)


def _upper_halves(array: NDArray[Any]) -> NDArray[np.uint16]:
    """The upper 16 bits of float32 elements, rounded to the nearest, ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(array, dtype="<f4").view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    quiet_nan = bits >> 16 | 0x40
    return np.where(np.isnan(array), quiet_nan, rounded).astype("<u2")


def _cast(array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    came = datatype_of(spec.name, array)
    wanted = DATATYPES.get(spec.datatype)
    if came == spec.datatype or wanted is None:
        return array
    refused = f"input {spec.name}: {came} came ({array.dtype} array); {spec.datatype} was expected"
    kinds = array.dtype.kind + wanted.kind
    if "O" in kinds or array.dtype.kind in _TEXT_KINDS or not (kinds == "ff" or kinds[0] in "biu"):
        raise InvalidInput(refused)
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(wanted)
        back = cast.astype(array.dtype)
    if kinds == "ff":
        if not np.array_equal(np.isfinite(cast), np.isfinite(array)):
            raise InvalidInput(f"{refused}, and it does not hold every value")
    elif not np.array_equal(back, array) or not np.array_equal(cast < 0, array < 0):
        raise InvalidInput(f"{refused}, and it does not hold every value from {array.min()} to {array.max()}")
    return cast


def _with_rows(array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    row = spec.shape[1:]
    is_one_row = len(array.shape) + 1 == len(spec.shape) and all(
        want in (-1, got) for want, got in zip(row, array.shape, strict=True)
    )
    return array[np.newaxis] if is_one_row else array


def _elements(name: str, array: NDArray[Any]) -> list[bytes]:
    elements: list[bytes] = []
    for one in array.ravel().tolist():
        if not isinstance(one, str | bytes):
            raise InvalidInput(f"input {name}: an element of type {type(one).__name__} came; bytes or str was expected")
        elements.append(one.encode() if isinstance(one, str) else one)
    return elements


def _split(raw: bytes) -> list[bytes]:
    elements: list[bytes] = []
    position = 0
    while position < len(raw):
        start = position + 4
        position = start + int.from_bytes(raw[position:start], "little")
        elements.append(raw[start:position])
    return elements
