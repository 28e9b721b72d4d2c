"""Tensors of every datatype cross the wire unchanged; one that does not fit is refused before it can share a run."""

import struct

import numpy as np
import pytest

from protos.signet.v1.prediction_pb2 import Tensor
from serving.errors import InvalidInput
from serving.inference.signature import Signature, TensorSpec
from serving.rpc.tensor_codec import decode_tensors, encode_tensor

MAX_ROWS = 100

VALUES = {
    "BOOL": ([True, False], "bool_values"),
    "UINT8": ([0, 255], "uint32_values"),
    "UINT16": ([0, 2**16 - 1], "uint32_values"),
    "UINT32": ([0, 2**32 - 1], "uint32_values"),
    "UINT64": ([0, 2**64 - 1], "uint64_values"),
    "INT8": ([-128, 127], "int32_values"),
    "INT16": ([-(2**15), 2**15 - 1], "int32_values"),
    "INT32": ([-(2**31), 2**31 - 1], "int32_values"),
    "INT64": ([-(2**63), 2**63 - 1], "int64_values"),
    "FP16": ([0.5, -65504.0], ""),
    "FP32": ([0.5, -1e30], "float_values"),
    "FP64": ([0.1, -1e300], "double_values"),
}

TYPED = [(datatype, values, field) for datatype, (values, field) in VALUES.items() if field]


def spec(datatype: str = "FP32", shape: tuple[int, ...] = (-1, 2), name: str = "x") -> TensorSpec:
    return TensorSpec(name, datatype, shape)


def decode_one(tensor: Tensor, expected: TensorSpec) -> np.ndarray:
    return decode_tensors([tensor], Signature((expected,), ()), MAX_ROWS)["x"]


def refusal(tensor: Tensor, expected: TensorSpec) -> str:
    with pytest.raises(InvalidInput) as error:
        decode_one(tensor, expected)
    return str(error.value)


@pytest.mark.parametrize(("datatype", "values"), [(datatype, values) for datatype, (values, _) in VALUES.items()])
def test_raw_contents_of_each_datatype_arrive_unchanged(datatype, values):
    sent = np.array([values], spec(datatype).dtype)
    raw = sent.astype(sent.dtype.newbyteorder("<")).tobytes()
    array = decode_one(Tensor(name="x", datatype=datatype, shape=[1, 2], raw=raw), spec(datatype))
    assert array.dtype == sent.dtype
    assert array.tolist() == sent.tolist()


@pytest.mark.parametrize(("datatype", "values", "field"), TYPED)
def test_typed_values_of_each_datatype_arrive_unchanged(datatype, values, field):
    array = decode_one(Tensor(name="x", datatype=datatype, shape=[1, 2], **{field: values}), spec(datatype))
    assert array.dtype == spec(datatype).dtype
    assert array.tolist() == [values if datatype != "FP32" else np.float32(values).tolist()]


@pytest.mark.parametrize(("datatype", "values"), [(datatype, values) for datatype, (values, _) in VALUES.items()])
def test_what_is_encoded_decodes_to_the_same(datatype, values):
    sent = np.array([values], spec(datatype).dtype)
    tensor = encode_tensor("x", sent)
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("x", datatype, [1, 2])
    assert decode_one(tensor, spec(datatype)).tolist() == sent.tolist()


def test_an_array_that_is_not_contiguous_is_encoded_row_by_row():
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert decode_one(encode_tensor("x", array), spec()).tolist() == array.tolist()


TEXTS = np.array([["a", "ÿ€"], ["", "last"]], np.object_)


def test_texts_travel_raw_behind_their_lengths():
    tensor = encode_tensor("x", TEXTS)
    assert tensor.raw[:5] == b"\x01\0\0\0a"
    assert decode_one(tensor, spec("BYTES")).tolist() == TEXTS.tolist()


def test_texts_travel_as_typed_values():
    values = [text.encode() for text in TEXTS.ravel()]
    tensor = Tensor(name="x", datatype="BYTES", shape=[2, 2], bytes_values=values)
    assert decode_one(tensor, spec("BYTES")).tolist() == TEXTS.tolist()


def test_raw_contents_are_not_copied():
    tensor = Tensor(name="x", datatype="FP32", shape=[1, 2], raw=bytes(8))
    assert not decode_one(tensor, spec()).flags.owndata


def test_a_scalar_has_an_empty_shape():
    array = decode_one(Tensor(name="x", datatype="FP32", raw=struct.pack("<f", 2.5)), spec(shape=()))
    assert array.shape == ()
    assert array.item() == 2.5


def test_a_free_dimension_that_is_not_rows_may_be_empty():
    assert decode_one(Tensor(name="x", datatype="FP32", shape=[1, 0]), spec(shape=(-1, -1))).shape == (1, 0)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        pytest.param({"datatype": "FP64"}, "datatype 'FP64' came; FP32 was expected", id="another datatype"),
        pytest.param({"datatype": ""}, "datatype '' came; FP32 was expected", id="no datatype"),
        pytest.param({"shape": [1, 3]}, "shape [1, 3] came; [-1, 2] was expected", id="another width"),
        pytest.param({"shape": [2]}, "shape [2] came; [-1, 2] was expected", id="a rank less"),
        pytest.param({"shape": [1, 2, 1]}, "shape [1, 2, 1] came; [-1, 2] was expected", id="a rank more"),
        pytest.param({"shape": [-1, 2]}, "shape [-1, 2] came; [-1, 2] was expected", id="negative rows"),
        pytest.param({"shape": [2**40, 2]}, f"{2**40} rows came; 1 to 100 were expected", id="astronomic rows"),
        pytest.param({"shape": [0, 2], "raw": b""}, "0 rows came; 1 to 100 were expected", id="no rows"),
        pytest.param({"shape": [101, 2]}, "101 rows came; 1 to 100 were expected", id="a row too many"),
        pytest.param({"raw": bytes(7)}, "7 bytes came; 8 were expected for FP32 [1, 2]", id="a byte too few"),
        pytest.param({"raw": bytes(9)}, "9 bytes came; 8 were expected for FP32 [1, 2]", id="a byte too many"),
        pytest.param({"raw": b""}, "0 bytes came; 8 were expected for FP32 [1, 2]", id="no contents"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_saying_what_came(fields, text):
    tensor = Tensor(**{"name": "x", "datatype": "FP32", "shape": [1, 2], "raw": bytes(8), **fields})
    assert refusal(tensor, spec()) == f"input x: {text}"


def test_a_shape_whose_product_overflows_64_bits_is_counted_exactly():
    tensor = Tensor(name="x", datatype="FP64", shape=[8, 2**40, 2**21], raw=b"")
    text = refusal(tensor, spec("FP64", (-1, -1, -1)))
    assert text == f"input x: 0 bytes came; {2**67} were expected for FP64 [8, {2**40}, {2**21}]"


def test_typed_values_for_an_overflowing_shape_are_refused():
    tensor = Tensor(name="x", datatype="FP32", shape=[8, 2**62], float_values=[1.0])
    assert "1 values came" in refusal(tensor, spec(shape=(-1, -1)))


@pytest.mark.parametrize(
    ("datatype", "field", "values", "text"),
    [
        pytest.param("INT8", "int32_values", [0, 128], "values from 0 to 128 came; INT8 holds -128 to 127", id="INT8"),
        pytest.param("INT16", "int32_values", [0, -40_000], "INT16 holds -32768 to 32767", id="INT16"),
        pytest.param("UINT8", "uint32_values", [0, 256], "values from 0 to 256 came; UINT8 holds 0 to 255", id="UINT8"),
        pytest.param("UINT16", "uint32_values", [70_000, 1], "UINT16 holds 0 to 65535", id="UINT16"),
    ],
)
def test_a_value_out_of_the_range_of_its_datatype_is_refused(datatype, field, values, text):
    tensor = Tensor(name="x", datatype=datatype, shape=[1, 2], **{field: values})
    assert text in refusal(tensor, spec(datatype))


@pytest.mark.parametrize(
    ("datatype", "fields", "text"),
    [
        pytest.param(
            "FP32",
            {"raw": bytes(8), "float_values": [1, 2]},
            "raw, float_values came; FP32 goes in raw or in float_values",
            id="raw and typed",
        ),
        pytest.param(
            "FP32",
            {"double_values": [1, 2]},
            "double_values came; FP32 goes in raw or in float_values",
            id="the list of another datatype",
        ),
        pytest.param(
            "INT8",
            {"int32_values": [1, 2], "int64_values": [1, 2]},
            "int32_values, int64_values came; INT8 goes in raw or in int32_values",
            id="two lists",
        ),
        pytest.param(
            "FP16", {"float_values": [1, 2]}, "float_values came; FP16 goes in raw", id="half precision typed"
        ),
        pytest.param("FP32", {"float_values": [1]}, "1 values came; 2 were expected for shape [1, 2]", id="too few"),
        pytest.param("INT64", {"int64_values": [1, 2, 3]}, "3 values came; 2 were expected", id="too many"),
    ],
)
def test_contents_in_the_wrong_place_or_number_are_refused(datatype, fields, text):
    assert text in refusal(Tensor(name="x", datatype=datatype, shape=[1, 2], **fields), spec(datatype))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(b"\x01\0\0\0a\x05\0\0\0abc", "BYTES element 1 is cut off", id="cut in an element"),
        pytest.param(b"\x01\0\0\0a\x05\0", "BYTES element 1 is cut off", id="cut in a length"),
        pytest.param(b"\xff\xff\xff\xffa", "BYTES element 0 is cut off", id="length beyond the message"),
        pytest.param(b"\x01\0\0\0a", "1 values came; 2 were expected", id="an element too few"),
        pytest.param(b"\x01\0\0\0\xff\0\0\0\0", "a BYTES element is no UTF-8 text", id="no text"),
    ],
)
def test_texts_that_are_cut_off_or_none_are_refused(raw, text):
    assert text in refusal(Tensor(name="x", datatype="BYTES", shape=[1, 2], raw=raw), spec("BYTES"))


PAIR = Signature((spec(name="a"), spec(name="b")), ())


def rows(name: str, number: int) -> Tensor:
    return encode_tensor(name, np.zeros((number, 2), np.float32))


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        pytest.param(
            [rows("c", 1)], "no input is named 'c'; the model takes a FP32 [-1, 2], b FP32 [-1, 2]", id="name"
        ),
        pytest.param([rows("x" * 500, 1)], f"no input is named '{'x' * 128}'; the model takes", id="long name"),
        pytest.param([rows("a", 1), rows("a", 1)], "input a came twice", id="twice"),
        pytest.param([rows("a", 1)], "input b is missing; the model takes a FP32 [-1, 2], b", id="missing"),
        pytest.param([rows("a", 1), rows("b", 2)], "different numbers of rows: {'a': 1, 'b': 2}", id="rows differ"),
    ],
)
def test_tensors_that_are_not_the_models_inputs_are_refused(tensors, text):
    with pytest.raises(InvalidInput) as error:
        decode_tensors(tensors, PAIR, MAX_ROWS)
    assert text in str(error.value)


def test_inputs_may_come_in_any_order():
    decoded = decode_tensors([rows("b", 3), rows("a", 3)], PAIR, MAX_ROWS)
    assert {name: array.shape for name, array in decoded.items()} == {"a": (3, 2), "b": (3, 2)}
