"""TensorFlow's tensors of every datatype cross the wire unchanged; one that does not fit is refused."""

import numpy as np
import pytest

from protos.tensorflow_serving import tensor_pb2
from protos.tensorflow_serving.tensor_pb2 import TensorProto
from serving.errors import InvalidInput
from serving.inference.signature import Signature, TensorSpec
from serving.rpc.tensorflow_serving_codec import MAX_FILLED_BYTES, decode_inputs, encode_tensor, shape_of

MAX_ROWS = 100

VALUES = {
    "BOOL": (tensor_pb2.DT_BOOL, "bool_val", [True, False]),
    "UINT8": (tensor_pb2.DT_UINT8, "int_val", [0, 255]),
    "UINT16": (tensor_pb2.DT_UINT16, "int_val", [0, 2**16 - 1]),
    "UINT32": (tensor_pb2.DT_UINT32, "uint32_val", [0, 2**32 - 1]),
    "UINT64": (tensor_pb2.DT_UINT64, "uint64_val", [0, 2**64 - 1]),
    "INT8": (tensor_pb2.DT_INT8, "int_val", [-128, 127]),
    "INT16": (tensor_pb2.DT_INT16, "int_val", [-(2**15), 2**15 - 1]),
    "INT32": (tensor_pb2.DT_INT32, "int_val", [-(2**31), 2**31 - 1]),
    "INT64": (tensor_pb2.DT_INT64, "int64_val", [-(2**63), 2**63 - 1]),
    "FP32": (tensor_pb2.DT_FLOAT, "float_val", [0.5, -1.25]),
    "FP64": (tensor_pb2.DT_DOUBLE, "double_val", [0.1, -1e300]),
}


def spec(datatype: str = "FP32", shape: tuple[int, ...] = (-1, 2), name: str = "x") -> TensorSpec:
    return TensorSpec(name, datatype, shape)


def floats(*shape: int, **fields) -> TensorProto:
    return TensorProto(dtype=tensor_pb2.DT_FLOAT, tensor_shape=shape_of(shape), **fields)


def decode_one(tensor: TensorProto, expected: TensorSpec) -> np.ndarray:
    return decode_inputs({"x": tensor}, Signature((expected,), ()), MAX_ROWS)["x"]


def refusal(tensor: TensorProto, expected: TensorSpec) -> str:
    with pytest.raises(InvalidInput) as error:
        decode_one(tensor, expected)
    return str(error.value)


@pytest.mark.parametrize("datatype", VALUES)
def test_typed_values_of_each_datatype_arrive_unchanged(datatype):
    number, field, values = VALUES[datatype]
    tensor = TensorProto(dtype=number, tensor_shape=shape_of([1, 2]))
    getattr(tensor, field).extend(values)

    array = decode_one(tensor, spec(datatype))

    assert array.dtype == spec(datatype).dtype
    assert array.tolist() == [values]


@pytest.mark.parametrize("datatype", VALUES)
def test_tensor_content_of_each_datatype_arrives_unchanged(datatype):
    number, _, values = VALUES[datatype]
    sent = np.array([values], spec(datatype).dtype)
    content = sent.astype(sent.dtype.newbyteorder("<")).tobytes()
    tensor = TensorProto(dtype=number, tensor_shape=shape_of([1, 2]), tensor_content=content)
    assert decode_one(tensor, spec(datatype)).tolist() == [values]


@pytest.mark.parametrize("datatype", VALUES)
def test_outputs_of_each_datatype_are_answered_in_typed_values(datatype):
    number, field, values = VALUES[datatype]
    tensor = encode_tensor(np.array([values], spec(datatype).dtype))
    assert (tensor.dtype, list(getattr(tensor, field)), tensor.tensor_content) == (number, values, b"")
    assert [dim.size for dim in tensor.tensor_shape.dim] == [1, 2]


def test_every_datatype_that_is_answered_can_be_sent_back():
    for datatype, (_, _, values) in VALUES.items():
        array = np.array([values], spec(datatype).dtype)
        assert decode_one(encode_tensor(array), spec(datatype)).tolist() == [values]


def test_halves_travel_as_their_bits():
    tensor = TensorProto(dtype=tensor_pb2.DT_HALF, tensor_shape=shape_of([1, 2]), half_val=[0x3C00, 0xC000])
    array = decode_one(tensor, spec("FP16"))
    assert array.dtype == np.float16
    assert array.tolist() == [[1.0, -2.0]]
    assert encode_tensor(array) == tensor


def test_bfloat16_travels_as_its_bits():
    tensor = TensorProto(dtype=tensor_pb2.DT_BFLOAT16, tensor_shape=shape_of([1, 2]), half_val=[0x3F80, 0xC000])
    array = decode_one(tensor, spec("BF16"))
    assert array.view(np.uint16).tolist() == [[0x3F80, 0xC000]]
    assert encode_tensor(array) == tensor


def test_bits_that_are_no_half_are_refused():
    tensor = TensorProto(dtype=tensor_pb2.DT_HALF, tensor_shape=shape_of([1, 2]), half_val=[0, 70_000])
    assert "input x: values from 0 to 70000 came" in refusal(tensor, spec("FP16"))


def test_strings_travel_in_utf_8():
    tensor = TensorProto(
        dtype=tensor_pb2.DT_STRING, tensor_shape=shape_of([1, 2]), string_val=["grün".encode(), b"blue"]
    )
    array = decode_one(tensor, spec("BYTES"))
    assert array.tolist() == [["grün", "blue"]]
    assert encode_tensor(array) == tensor


def test_strings_in_tensor_content_are_refused():
    tensor = TensorProto(dtype=tensor_pb2.DT_STRING, tensor_shape=shape_of([1, 2]), tensor_content=b"\1\1ab")
    assert refusal(tensor, spec("BYTES")) == "input x: tensor_content came; BYTES goes in string_val"


def test_a_single_value_fills_the_shape():
    assert decode_one(floats(2, 2, float_val=[1.5]), spec()).tolist() == [[1.5, 1.5], [1.5, 1.5]]


def test_the_last_of_too_few_values_fills_the_rest():
    assert decode_one(floats(2, 2, float_val=[1, 2]), spec()).tolist() == [[1, 2], [2, 2]]


def test_one_value_does_not_become_more_than_a_message_could_hold():
    elements = MAX_FILLED_BYTES // 4
    assert decode_one(floats(1, elements, float_val=[1]), spec(shape=(-1, -1))).shape == (1, elements)
    assert "fills up at most" in refusal(floats(1, elements + 1, float_val=[1]), spec(shape=(-1, -1)))


def test_one_long_string_does_not_become_many():
    tensor = TensorProto(
        dtype=tensor_pb2.DT_STRING, tensor_shape=shape_of([1, 1000]), string_val=[b"a" * (MAX_FILLED_BYTES // 1000)]
    )
    assert "fills up at most" in refusal(tensor, spec("BYTES", (-1, -1)))


def test_an_answer_without_elements_keeps_its_shape():
    tensor = encode_tensor(np.empty((0, 2), np.float32))
    assert ([dim.size for dim in tensor.tensor_shape.dim], list(tensor.float_val)) == ([0, 2], [])


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (floats(1, 2), "input x: 0 values came; 2 were expected for shape [1, 2]"),
        (floats(1, 2, float_val=[1, 2, 3]), "input x: 3 values came; 2 were expected"),
        (floats(1, 2, tensor_content=b"123"), "input x: 3 bytes came; 8 were expected for FP32 [1, 2]"),
        (
            floats(1, 2, tensor_content=bytes(8), float_val=[1, 2]),
            "input x: tensor_content, float_val came; FP32 goes in tensor_content or in float_val",
        ),
        (floats(1, 2, double_val=[1, 2]), "input x: double_val came; FP32 goes in"),
        (floats(1, 3, float_val=[1]), "input x: shape [1, 3] came; [-1, 2] was expected"),
        (floats(-1, 2, float_val=[1]), "input x: shape [-1, 2] came"),
        (floats(101, 2, float_val=[1]), "input x: 101 rows came; 1 to 100 were expected"),
        (floats(float_val=[1]), "input x: shape [] came"),
        (TensorProto(dtype=tensor_pb2.DT_DOUBLE), "input x: datatype 'FP64' came; FP32 was expected"),
        (TensorProto.FromString(b"\x08\x08"), "input x: datatype 'type 8' came"),  # DT_COMPLEX64
        (TensorProto(), "input x: datatype 'type 0' came"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused(tensor, text):
    assert text in refusal(tensor, spec())


def test_a_tensor_of_unknown_rank_is_refused():
    tensor = floats(float_val=[1, 2])
    tensor.tensor_shape.unknown_rank = True
    assert refusal(tensor, spec()) == "input x: unknown rank came; shape [-1, 2] was expected"
