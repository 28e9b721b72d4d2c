import numpy as np
import pytest

from protos.signet.v1.prediction_pb2 import Tensor
from serving.client.answers import TensorSpec
from serving.client.tensors import DATATYPES, decode_tensor, encode_tensor, fit
from serving.errors import InternalError, InvalidInput

NUMBERS = sorted(set(DATATYPES) - {"BYTES", "BF16"})


def spec(datatype="FP32", shape=(-1, 2)):
    return TensorSpec("x", datatype, shape)


@pytest.mark.parametrize("datatype", NUMBERS)
def test_an_array_comes_back_as_it_went(datatype):
    array = np.array([[0, 1], [1, 0], [1, 1]]).astype(DATATYPES[datatype])
    tensor = encode_tensor("x", array)
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("x", datatype, [3, 2])
    decoded = decode_tensor(tensor)
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, array)


def test_a_decoded_array_can_be_written_to():
    decoded = decode_tensor(encode_tensor("x", np.zeros((1, 2), np.float32)))
    decoded[0, 0] = 1
    assert decoded[0, 0] == 1


@pytest.mark.parametrize("array", [np.array([[1, 2]], ">f4"), np.array([[1, 9], [2, 9]], np.float32).T[:1]])
def test_elements_travel_little_endian_and_row_major(array):
    tensor = encode_tensor("x", array)
    assert tensor.datatype == "FP32"
    assert tensor.raw == np.array([1, 2], "<f4").tobytes()


def test_text_and_bytes_travel_as_bytes():
    tensor = encode_tensor("x", np.array([["é", b"\x00"]], np.object_))
    assert tensor.raw == b"\x02\x00\x00\x00\xc3\xa9\x01\x00\x00\x00\x00"
    assert decode_tensor(tensor).tolist() == [["é".encode(), b"\x00"]]


def test_an_array_of_objects_that_are_no_text_is_refused():
    with pytest.raises(InvalidInput, match="input x: an element of type int came"):
        encode_tensor("x", np.array([1], np.object_))


def test_bf16_is_the_nearest_upper_half_of_float32():
    numbers = np.array([1.0, -2.5, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, np.inf, np.nan], np.float32)
    decoded = decode_tensor(encode_tensor("x", numbers, "BF16"))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, [1, -2.5, 1, 1 + 2**-6, 1 + 2**-7, np.inf, np.nan])


def test_contents_that_do_not_fill_the_shape_are_the_servers_fault():
    with pytest.raises(InternalError, match="output y: 4 bytes came; they do not fill"):
        decode_tensor(Tensor(name="y", datatype="FP32", shape=[2, 2], raw=b"1234"))


def test_an_unknown_datatype_is_the_servers_fault():
    with pytest.raises(InternalError, match="does not know the datatype FP8"):
        decode_tensor(Tensor(name="y", datatype="FP8"))


def test_a_dtype_without_a_datatype_is_refused():
    with pytest.raises(InvalidInput, match="input x: dtype complex128 came"):
        encode_tensor("x", np.zeros(2, np.complex128))


@pytest.mark.parametrize(
    ("array", "datatype"),
    [
        (np.array([[1, 2]]), "FP32"),
        (np.array([[0, 255]]), "UINT8"),
        (np.array([[0.1, 0.2]]), "FP32"),
        (np.array([[True, False]]), "FP32"),
        (np.array([[1, 2]], np.uint8), "INT64"),
    ],
    ids=["ints to floats", "ints in range", "literal floats", "truth values", "narrow to wide"],
)
def test_a_harmless_cast_is_made(array, datatype):
    fitted = fit(array, spec(datatype))
    assert fitted.dtype == DATATYPES[datatype]
    np.testing.assert_array_equal(fitted, array.astype(DATATYPES[datatype]))


@pytest.mark.parametrize(
    ("array", "datatype", "came"),
    [
        (np.array([[0.0, 1.0]]), "UINT8", "FP64"),
        (np.array([[0, 256]]), "UINT8", "INT64"),
        (np.array([[-1, 0]]), "UINT64", "INT64"),
        (np.array([[2**24 + 1, 0]]), "FP32", "INT64"),
        (np.array([[70000, 0]]), "FP16", "INT64"),
        (np.array([[1e39, 0]]), "FP32", "FP64"),
        (np.array([["a", "b"]]), "FP32", "BYTES"),
    ],
    ids=["floats to pixels", "over the range", "below 0", "too fine", "int overflow", "float overflow", "text"],
)
def test_a_cast_that_could_change_values_is_refused_naming_both(array, datatype, came):
    with pytest.raises(InvalidInput, match=f"input x: {came} came .*; {datatype} was expected"):
        fit(array, spec(datatype))


def test_one_row_without_a_rows_axis_becomes_one_row():
    assert fit(np.zeros(2, np.float32), spec()).shape == (1, 2)


def test_an_array_of_another_shape_is_left_for_the_server_to_refuse():
    assert fit(np.zeros(3, np.float32), spec()).shape == (3,)
