"""Wire tensors ↔ NumPy, checked against a model's signature.

Owns every check of a tensor that a caller sent: name, datatype, shape, number of bytes, rows. Raw bytes are not copied.
Does not know which protocol the tensor came by: each protocol's servicer hands over its fields.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.signet.v1 import prediction_pb2
from serving.errors import InvalidInput
from serving.inference.signature import DATATYPES, Signature, Tensors, TensorSpec

_VALUES_FIELD = {
    "BOOL": "bool_values",
    "UINT8": "uint32_values",
    "UINT16": "uint32_values",
    "UINT32": "uint32_values",
    "UINT64": "uint64_values",
    "INT8": "int32_values",
    "INT16": "int32_values",
    "INT32": "int32_values",
    "INT64": "int64_values",
    "FP32": "float_values",
    "FP64": "double_values",
    "BYTES": "bytes_values",
}
"""Datatype to the list that holds its typed values; FP16 and BF16 travel raw alone."""

_MAX_ARRAY_BYTES = 2**63 - 1
"""What NumPy can address, where it takes a dimension of 0 for one of 1."""

_WIRE_DTYPES = {name: dtype.newbyteorder("<") for name, dtype in DATATYPES.items()}

_VALUE_LISTS = sorted(set(_VALUES_FIELD.values()))


def decode_tensors(tensors: Iterable[prediction_pb2.Tensor], signature: Signature, max_rows: int) -> Tensors:
    """The inputs of a model by name, from one wire tensor for each.

    Raises InvalidInput naming the tensor, what came and what was expected.
    """
    decoded: Tensors = {}
    for tensor in tensors:
        spec = input_spec(tensor.name, signature, decoded, "tensors")
        shape = tuple(tensor.shape)
        check_shape(spec, tensor.datatype, shape, max_rows)
        decoded[spec.name] = _decode(tensor, spec, shape)
    check_complete(signature, decoded, "tensors")
    return decoded


def encode_tensor(name: str, array: NDArray[Any]) -> prediction_pb2.Tensor:
    """A wire tensor with raw contents."""
    datatype = datatype_of(array)
    raw = pack_bytes(array) if datatype == "BYTES" else np.ascontiguousarray(array).tobytes()
    return prediction_pb2.Tensor(name=name, datatype=datatype, shape=array.shape, raw=raw)


def datatype_of(array: NDArray[Any]) -> str:
    """The datatype name of an array that a model gave."""
    return next(name for name, dtype in DATATYPES.items() if dtype == array.dtype)


def check_shape(spec: TensorSpec, datatype: str, shape: tuple[int, ...], max_rows: int) -> None:
    """Raise InvalidInput unless `datatype` and `shape` fit `spec`, with 1 to `max_rows` rows."""
    if (
        datatype == spec.datatype
        and spec.free_rows
        and shape[1:] == spec.shape[1:]
        and min(shape, default=0) > 0
        and shape[0] <= max_rows
    ):
        return  # what nearly always comes
    if datatype != spec.datatype:
        raise InvalidInput(f"input {spec.name}: datatype {datatype[:16]!r} came; {spec.datatype} was expected")
    if not spec.admits(tuple(shape)) or min(shape, default=0) < 0:
        raise InvalidInput(f"input {spec.name}: shape {list(shape)[:16]} came; {list(spec.shape)} was expected")
    if spec.free_rows and not 1 <= shape[0] <= max_rows:
        raise InvalidInput(f"input {spec.name}: {shape[0]} rows came; 1 to {max_rows} were expected")
    if 0 in shape and math.prod(size or 1 for size in shape) * spec.dtype.itemsize > _MAX_ARRAY_BYTES:
        raise InvalidInput(f"input {spec.name}: shape {list(shape)} came; no array is that large")


def input_spec(name: str, signature: Signature, decoded: Tensors, field: str) -> TensorSpec:
    """The input of that name, one that is not in `decoded` yet; InvalidInput names `field`."""
    spec = signature.input(name)
    if spec is None:
        raise InvalidInput(f"{field}: no input is named {name[:128]!r}; the model takes {_listed(signature.inputs)}")
    if name in decoded:
        raise InvalidInput(f"{field}: input {name} came twice")
    return spec


def check_complete(signature: Signature, decoded: Tensors, field: str) -> None:
    """Raise InvalidInput, naming `field`, unless all inputs came, with as many rows each."""
    if len(decoded) < len(signature.inputs):
        missing = [spec.name for spec in signature.inputs if spec.name not in decoded]
        raise InvalidInput(
            f"{field}: input {', '.join(missing)} is missing; the model takes {_listed(signature.inputs)}"
        )
    if len(decoded) > 1:
        check_rows(signature, decoded)


def check_rows(signature: Signature, inputs: Tensors) -> None:
    """Raise InvalidInput if inputs that count rows on axis 0 have different numbers of them."""
    rows = {spec.name: len(inputs[spec.name]) for spec in signature.inputs if spec.free_rows}
    if len(set(rows.values())) > 1:
        raise InvalidInput(f"the inputs have different numbers of rows: {rows}")


def decode_raw(spec: TensorSpec, shape: Sequence[int], raw: bytes) -> NDArray[Any]:
    """An array of the spec's dtype over `raw`, little-endian and row-major, for a shape that was checked."""
    if spec.datatype == "BYTES":
        return _text_array(spec, shape, unpack_bytes(spec.name, raw))
    expected = math.prod(shape) * spec.dtype.itemsize
    if len(raw) != expected:
        raise InvalidInput(
            f"input {spec.name}: {len(raw)} bytes came; {expected} were expected for {spec.datatype} {list(shape)}"
        )
    return np.frombuffer(raw, _WIRE_DTYPES[spec.datatype]).reshape(shape)


def decode_values(spec: TensorSpec, shape: Sequence[int], values: Sequence[Any]) -> NDArray[Any]:
    """An array of the spec's dtype from typed values, for a shape that was checked."""
    if spec.datatype == "BYTES":
        return _text_array(spec, shape, values)
    _check_count(spec, shape, values)
    array = np.asarray(values)
    if spec.dtype.kind in "iu" and array.size:
        limits = np.iinfo(spec.dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise InvalidInput(
                f"input {spec.name}: values from {array.min()} to {array.max()} came; "
                f"{spec.datatype} holds {limits.min} to {limits.max}"
            )
    return array.astype(spec.dtype, copy=False).reshape(shape)


def pack_bytes(array: NDArray[Any]) -> bytes:
    """The elements of a BYTES array, each behind its length in 4 little-endian bytes."""
    elements = (one.encode() for one in array.ravel())
    return b"".join(part for one in elements for part in (struct.pack("<I", len(one)), one))


def unpack_bytes(name: str, raw: bytes) -> list[bytes]:
    """The elements of raw BYTES contents. Raises InvalidInput if they end in the middle of one."""
    elements: list[bytes] = []
    position = 0
    while position < len(raw):
        start = position + 4
        length = int.from_bytes(raw[position:start], "little")
        position = start + length
        if position > len(raw):
            raise InvalidInput(f"input {name}: BYTES element {len(elements)} is cut off")
        elements.append(raw[start:position])
    return elements


def _decode(tensor: prediction_pb2.Tensor, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray[Any]:
    raw = tensor.raw
    # By its size alone, a tensor with raw contents has nothing else: to look at eight empty lists costs more.
    raw_bytes = len(raw)
    if tensor.ByteSize() == _bytes_before_raw(spec.name, spec.datatype, shape) + _varint_bytes(raw_bytes) + raw_bytes:
        return decode_raw(spec, shape, raw)
    filled = [name for name in _VALUE_LISTS if len(getattr(tensor, name))]
    if not filled:
        return decode_raw(spec, shape, raw)
    wanted = _VALUES_FIELD.get(spec.datatype, "")
    if raw or filled != [wanted]:
        came = ", ".join(["raw"] * bool(raw) + filled)
        raise InvalidInput(
            f"input {spec.name}: {came} came; {spec.datatype} goes in raw{f' or in {wanted}' if wanted else ''}"
        )
    return decode_values(spec, shape, getattr(tensor, wanted))


@lru_cache(maxsize=4096)
def _bytes_before_raw(name: str, datatype: str, shape: tuple[int, ...]) -> int:
    """The size of a tensor without contents, and of the tag of raw ones."""
    return prediction_pb2.Tensor(name=name, datatype=datatype, shape=shape).ByteSize() + 1


def _varint_bytes(number: int) -> int:
    return max(1, (number.bit_length() + 6) // 7)


def _check_count(spec: TensorSpec, shape: Sequence[int], values: Sequence[Any]) -> None:
    expected = math.prod(shape)
    if len(values) != expected:
        raise InvalidInput(
            f"input {spec.name}: {len(values)} values came; {expected} were expected for shape {list(shape)}"
        )


def _text_array(spec: TensorSpec, shape: Sequence[int], elements: Sequence[bytes]) -> NDArray[Any]:
    """BYTES as ONNX has them: strings in UTF-8."""
    _check_count(spec, shape, elements)
    array = np.empty(len(elements), dtype=np.object_)
    try:
        array[:] = [element.decode() for element in elements]
    except UnicodeDecodeError as error:
        raise InvalidInput(f"input {spec.name}: a BYTES element is no UTF-8 text, which ONNX strings are") from error
    return array.reshape(shape)


def _listed(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(map(str, specs))
