"""The two forms of tensors, as `signet conformance` sends and reads them."""

import struct

import numpy as np
import pytest

from protos.inference.tensors_pb2 import InferTensorContents
from serving.client.conformance import tensor_forms
from serving.client.conformance.tensor_forms import DATATYPES, Unreadable

SHAPE = (3, 2)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_raw_contents_come_back_equal(datatype):
    array = tensor_forms.values(datatype, SHAPE)
    assert tensor_forms.equal(tensor_forms.from_raw(tensor_forms.to_raw(array), datatype, SHAPE), array)


@pytest.mark.parametrize("datatype", [name for name, one in DATATYPES.items() if one.field])
def test_typed_contents_come_back_equal(datatype):
    array = tensor_forms.values(datatype, SHAPE)
    assert tensor_forms.equal(tensor_forms.from_typed(tensor_forms.to_typed(array, datatype), datatype, SHAPE), array)


@pytest.mark.parametrize("datatype", ["INT8", "UINT16", "INT64", "UINT64"])
def test_the_extremes_of_an_integer_are_among_its_values(datatype):
    limits = np.iinfo(DATATYPES[datatype].dtype)
    assert {limits.min, limits.max} <= set(tensor_forms.values(datatype, SHAPE).reshape(-1).tolist())


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_floats_are_finite_and_minus_zero_is_among_them(datatype):
    array = tensor_forms.values(datatype, SHAPE)
    assert np.isfinite(array).all()
    assert ((array == 0) & np.signbit(array)).any()


def test_an_element_of_bytes_stands_behind_its_length():
    array = np.array([[b"ab", b""]], np.object_)
    assert tensor_forms.to_raw(array) == struct.pack("<I", 2) + b"ab" + struct.pack("<I", 0)


@pytest.mark.parametrize(
    ("raw", "datatype", "shape"),
    [
        (b"\0" * 7, "FP32", (2,)),
        (b"\0" * 12, "FP32", (2,)),
        (b"\0" * 8, "FP32", (-1, -2)),
        (b"\5\0\0\0abc", "BYTES", (1,)),
        (b"\0\0", "BYTES", (1,)),
        (b"", "BYTES", (1,)),
        (b"\0" * 4, "FLOAT32", (1,)),
    ],
    ids=["short", "long", "negative", "text cut off", "length cut off", "no text", "no datatype"],
)
def test_raw_contents_that_do_not_hold_together_are_unreadable(raw, datatype, shape):
    with pytest.raises(Unreadable):
        tensor_forms.from_raw(raw, datatype, shape)


@pytest.mark.parametrize(
    ("contents", "datatype", "shape"),
    [
        (InferTensorContents(fp32_contents=[1]), "FP32", (2,)),
        (InferTensorContents(int_contents=[1]), "FP32", (1,)),
        (InferTensorContents(fp32_contents=[1], int_contents=[1]), "FP32", (1,)),
        (InferTensorContents(fp32_contents=[1]), "FP16", (1,)),
        (InferTensorContents(uint_contents=[256]), "UINT8", (1,)),
    ],
    ids=["too few", "another list", "two lists", "no list", "out of range"],
)
def test_typed_contents_that_do_not_hold_together_are_unreadable(contents, datatype, shape):
    with pytest.raises(Unreadable):
        tensor_forms.from_typed(contents, datatype, shape)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.array([np.nan]), np.array([np.nan]), True),
        (np.array([0.0]), np.array([-0.0]), False),
        (np.array([1.0]), np.array([[1.0]]), False),
        (np.array([1]), np.array([1.0]), False),
    ],
    ids=["NaN and NaN", "zero and minus zero", "another shape", "another dtype"],
)
def test_arrays_are_equal_by_shape_dtype_and_every_bit_that_matters(one, other, same):
    assert tensor_forms.equal(one, other) is same
