"""Arrays in the protocol's two forms, raw and typed, and back.

Owns the datatypes: their dtype, their list of typed contents, values worth sending. Does not know models nor requests.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.inference.tensors_pb2 import InferTensorContents

BF16_ONE = 0x3F80


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype. `field`: its list in InferTensorContents, empty if it travels raw only.

    BF16 has no dtype in NumPy: its arrays are the 16 bits, uint16. Those of BYTES are bytes objects.
    """

    name: str
    dtype: np.dtype[Any]
    field: str

    @property
    def item_bytes(self) -> int:
        """The raw size of an element; 0 for BYTES."""
        return 0 if self.name == "BYTES" else self.dtype.itemsize


DATATYPES: dict[str, Datatype] = {
    name: Datatype(name, np.dtype(dtype), field)
    for name, dtype, field in (
        ("BOOL", np.bool_, "bool_contents"),
        ("UINT8", np.uint8, "uint_contents"),
        ("UINT16", np.uint16, "uint_contents"),
        ("UINT32", np.uint32, "uint_contents"),
        ("UINT64", np.uint64, "uint64_contents"),
        ("INT8", np.int8, "int_contents"),
        ("INT16", np.int16, "int_contents"),
        ("INT32", np.int32, "int_contents"),
        ("INT64", np.int64, "int64_contents"),
        ("FP16", np.float16, ""),
        ("BF16", np.uint16, ""),
        ("FP32", np.float32, "fp32_contents"),
        ("FP64", np.float64, "fp64_contents"),
        ("BYTES", np.object_, "bytes_contents"),
    )
}

_TEXTS = [b"a", b"", "\u00fc \u2713 \U0001f600".encode(), b"two words", b"x" * 300, b"line\nbreak"]


class Unreadable(Exception):
    """A tensor that does not hold together; the text says why."""


def values(datatype: str, shape: tuple[int, ...], seed: int = 0) -> NDArray[Any]:
    """Values of `datatype`, its extremes among them where there is room; floats are finite."""
    kind = DATATYPES[datatype]
    count = math.prod(shape)
    random = np.random.default_rng(seed)
    if datatype == "BYTES":
        flat = np.empty(count, np.object_)
        flat[:] = [_TEXTS[(index + seed) % len(_TEXTS)] for index in range(count)]
    elif datatype == "BOOL":
        flat = random.integers(0, 2, count).astype(bool)
    elif datatype == "BF16":
        flat = (BF16_ONE + random.integers(0, 256, count)).astype(np.uint16)
    elif kind.dtype.kind == "f":
        flat = random.standard_normal(count).astype(kind.dtype)
        limits = np.finfo(kind.dtype)
        flat[: min(count, 4)] = [limits.max, limits.min, limits.smallest_normal, -0.0][:count]
    else:
        limit = np.iinfo(kind.dtype)
        flat = random.integers(limit.min, limit.max, count, dtype=kind.dtype, endpoint=True)
        flat[: min(count, 2)] = [limit.max, limit.min][:count]
    return flat.reshape(shape)


def to_raw(array: NDArray[Any]) -> bytes:
    """Row-major little-endian; each element of BYTES behind its length in 4 bytes."""
    if array.dtype == np.object_:
        return b"".join(struct.pack("<I", len(one)) + one for one in array.flat)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def to_typed(array: NDArray[Any], datatype: str) -> InferTensorContents:
    """The contents in the datatype's own list."""
    contents = InferTensorContents()
    getattr(contents, DATATYPES[datatype].field).extend(array.reshape(-1).tolist())
    return contents


def from_raw(raw: bytes, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array; raises Unreadable if `raw` has not the size that `shape` demands."""
    kind = _kind(datatype)
    if datatype == "BYTES":
        return _shaped(_texts(raw), datatype, shape)
    if len(raw) != _elements(shape) * kind.item_bytes:
        raise Unreadable(f"{len(raw)} raw bytes for {datatype} {list(shape)}")
    return np.frombuffer(raw, kind.dtype.newbyteorder("<")).astype(kind.dtype).reshape(shape)


def from_typed(contents: InferTensorContents, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array; raises Unreadable for another list than the datatype's, or another length than `shape` demands."""
    kind = _kind(datatype)
    filled = [field.name for field, _ in contents.ListFields()]
    if not kind.field or [name for name in filled if name != kind.field]:
        raise Unreadable(f"{datatype} in {', '.join(filled) or 'typed contents'}")
    return _shaped(list(getattr(contents, kind.field)), datatype, shape)


def equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether shapes and elements are equal; NaN equals NaN, and -0.0 does not equal 0.0."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind == "f":
        same = (one == other) & (np.signbit(one) == np.signbit(other))
        return bool(np.all(same | (np.isnan(one) & np.isnan(other))))
    return bool(np.all(one == other))


def _kind(datatype: str) -> Datatype:
    if datatype not in DATATYPES:
        raise Unreadable(f"datatype {datatype!r}, which the protocol does not have")
    return DATATYPES[datatype]


def _texts(raw: bytes) -> list[bytes]:
    texts, offset = [], 0
    while offset < len(raw):
        if offset + 4 > len(raw) or offset + 4 + int.from_bytes(raw[offset : offset + 4], "little") > len(raw):
            raise Unreadable(f"BYTES of {len(raw)} raw bytes whose last element is cut off")
        end = offset + 4 + int.from_bytes(raw[offset : offset + 4], "little")
        texts.append(raw[offset + 4 : end])
        offset = end
    return texts


def _elements(shape: tuple[int, ...]) -> int:
    if min(shape, default=0) < 0:
        raise Unreadable(f"a negative length in its shape {list(shape)}")
    return math.prod(shape)


def _shaped(elements: list[Any], datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if len(elements) != _elements(shape):
        raise Unreadable(f"{len(elements)} elements for {datatype} {list(shape)}")
    flat = np.empty(len(elements), DATATYPES[datatype].dtype)
    try:
        flat[:] = elements
    except OverflowError as error:
        raise Unreadable(f"an element that is no {datatype}") from error
    return flat.reshape(shape)
