"""TensorFlow's tensors ↔ NumPy, checked against a model's signature.

Owns where a TensorProto keeps the elements of each datatype, and the rule that a list shorter than the shape goes on
with its last element. Does not know requests; the checks that all protocols share are those of tensor_codec.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.tensorflow_serving import tensor_pb2
from protos.tensorflow_serving.tensor_pb2 import TensorProto, TensorShapeProto
from serving.errors import InvalidInput
from serving.inference.signature import Signature, Tensors, TensorSpec
from serving.rpc.tensor_codec import check_rows, check_shape, datatype_of, decode_raw, decode_values

MAX_FILLED_BYTES = 64 * 1024 * 1024
"""Of a tensor whose list is shorter than its shape: a few bytes must not become more than a message could hold."""

_PLACES: dict[str, tuple["tensor_pb2.DataType.ValueType", str]] = {
    "BOOL": (tensor_pb2.DT_BOOL, "bool_val"),
    "UINT8": (tensor_pb2.DT_UINT8, "int_val"),
    "UINT16": (tensor_pb2.DT_UINT16, "int_val"),
    "UINT32": (tensor_pb2.DT_UINT32, "uint32_val"),
    "UINT64": (tensor_pb2.DT_UINT64, "uint64_val"),
    "INT8": (tensor_pb2.DT_INT8, "int_val"),
    "INT16": (tensor_pb2.DT_INT16, "int_val"),
    "INT32": (tensor_pb2.DT_INT32, "int_val"),
    "INT64": (tensor_pb2.DT_INT64, "int64_val"),
    "FP16": (tensor_pb2.DT_HALF, "half_val"),
    "BF16": (tensor_pb2.DT_BFLOAT16, "half_val"),
    "FP32": (tensor_pb2.DT_FLOAT, "float_val"),
    "FP64": (tensor_pb2.DT_DOUBLE, "double_val"),
    "BYTES": (tensor_pb2.DT_STRING, "string_val"),
}
"""Datatype to TensorFlow's number for it and the list that holds its typed values."""

_DATATYPES: dict[int, str] = {number: datatype for datatype, (number, _) in _PLACES.items()}

_VALUE_LISTS = sorted({field for _, field in _PLACES.values()})

_PACKED_AS_RAW = frozenset({"BOOL", "FP32", "FP64"})
"""Datatypes whose packed list on the wire is the bytes of the array."""


def decode_inputs(tensors: Mapping[str, TensorProto], signature: Signature, max_rows: int) -> Tensors:
    """The inputs of a model by name.

    Raises InvalidInput naming the input, what came and what was expected.
    """
    unknown = [name for name in tensors if signature.input(name) is None]
    missing = [spec.name for spec in signature.inputs if spec.name not in tensors]
    if unknown or missing:
        takes = ", ".join(map(str, signature.inputs))
        if unknown:
            raise InvalidInput(f"inputs: no input is named {min(unknown)[:128]!r}; the model takes {takes}")
        raise InvalidInput(f"inputs: input {', '.join(missing)} is missing; the model takes {takes}")
    decoded = {spec.name: decode_tensor(spec, tensors[spec.name], max_rows) for spec in signature.inputs}
    if len(decoded) > 1:
        check_rows(signature, decoded)
    return decoded


def decode_tensor(spec: TensorSpec, tensor: TensorProto, max_rows: int) -> NDArray[Any]:
    """An array of the spec's dtype and of a shape that it admits, with 1 to `max_rows` rows. Raises InvalidInput."""
    if tensor.tensor_shape.unknown_rank:
        raise InvalidInput(f"input {spec.name}: unknown rank came; shape {list(spec.shape)} was expected")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    check_shape(spec, _DATATYPES.get(tensor.dtype, f"type {tensor.dtype}"), shape, max_rows)
    wanted = _PLACES[spec.datatype][1]
    filled = [name for name in _VALUE_LISTS if len(getattr(tensor, name))]
    takes_content = spec.datatype != "BYTES"
    if tensor.tensor_content:
        filled.insert(0, "tensor_content")
    if filled == ["tensor_content"] and takes_content:
        return decode_raw(spec, shape, tensor.tensor_content)
    if filled not in ([], [wanted]):
        places = f"tensor_content or in {wanted}" if takes_content else wanted
        raise InvalidInput(f"input {spec.name}: {', '.join(filled)} came; {spec.datatype} goes in {places}")
    return _decode_list(spec, shape, getattr(tensor, wanted))


def encode_tensor(array: NDArray[Any]) -> TensorProto:
    """A tensor with typed values, where the clients of TensorFlow Serving look for them."""
    datatype = datatype_of(array)
    dtype, field = _PLACES[datatype]
    if datatype in _PACKED_AS_RAW and array.size:
        # Packed values and raw contents differ by the tag before them alone.
        content = TensorProto(tensor_content=np.ascontiguousarray(array).tobytes()).SerializeToString()
        number = TensorProto.DESCRIPTOR.fields_by_name[field].number
        tensor = TensorProto.FromString(bytes([number << 3 | content[0] & 7]) + content[1:])
    elif datatype == "BYTES":
        tensor = TensorProto(string_val=[one.encode() for one in array.ravel()])
    else:
        values = array.view(np.uint16) if field == "half_val" else array
        tensor = TensorProto()
        getattr(tensor, field).extend(values.ravel().tolist())
    tensor.dtype = dtype
    tensor.tensor_shape.CopyFrom(shape_of(array.shape))
    return tensor


def shape_of(sizes: Sequence[int]) -> TensorShapeProto:
    """A shape in TensorFlow's words; -1 stays -1."""
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])


def data_type(spec: TensorSpec) -> "tensor_pb2.DataType.ValueType":
    """TensorFlow's number for the datatype of `spec`."""
    return _PLACES[spec.datatype][0]


def _decode_list(spec: TensorSpec, shape: tuple[int, ...], values: Sequence[Any]) -> NDArray[Any]:
    """Typed values; fewer than the shape has go on with the last one, but none stay none and are refused."""
    size, came = math.prod(shape), len(values)
    if not 0 < came < size:
        return _decode_values(spec, shape, values)
    element = spec.dtype.itemsize + (len(values[-1]) if spec.datatype == "BYTES" else 0)
    if size * element > MAX_FILLED_BYTES:
        raise InvalidInput(
            f"input {spec.name}: {came} values came for shape {list(shape)}; "
            f"the last one fills up at most {MAX_FILLED_BYTES} bytes"
        )
    array = np.empty(size, spec.dtype)
    array[:came] = _decode_values(spec, (came,), values)
    array[came:] = array[came - 1]
    return array.reshape(shape)


def _decode_values(spec: TensorSpec, shape: tuple[int, ...], values: Sequence[Any]) -> NDArray[Any]:
    if _PLACES[spec.datatype][1] != "half_val":
        return decode_values(spec, shape, values)
    bits = TensorSpec(spec.name, "UINT16", spec.shape)
    return decode_values(bits, shape, values).view(spec.dtype)
