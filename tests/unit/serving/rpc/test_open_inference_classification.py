"""Classes are told as Triton tells them, in an order that Triton leaves open."""

import numpy as np
import pytest

from serving.errors import InvalidInput
from serving.inference.labels import Decision, Labeller
from serving.inference.signature import TensorSpec
from serving.rpc.open_inference_classification import check_classified, class_texts

NAN, INFINITY = float("nan"), float("inf")


def classes(rows, count: int, datatype: str = "FP32", labeller: Labeller | None = None, shape=(-1, 3)) -> list:
    spec = TensorSpec("y", datatype, shape)
    return class_texts(np.array(rows, spec.dtype), spec, count, labeller).tolist()


def test_floats_have_six_decimals_and_integers_none():
    assert classes([[0.5, 1e-7, 1234567.5]], 3) == [["1234567.500000:2", "0.500000:0", "0.000000:1"]]
    assert classes([[0.1, 1 / 3, -1]], 3, "FP64") == [["0.333333:1", "0.100000:0", "-1.000000:2"]]
    assert classes([[5, -7, 6]], 3, "INT32") == [["6:2", "5:0", "-7:1"]]


@pytest.mark.parametrize(
    ("datatype", "row", "order"),
    [
        ("FP32", [NAN, 1, INFINITY], [2, 1, 0]),
        ("FP32", [NAN, NAN, 0], [2, 0, 1]),
        ("FP64", [1, 1, 1], [0, 1, 2]),
        ("FP32", [-INFINITY, NAN, 0], [2, 0, 1]),
        ("INT64", [-(2**63), 2**63 - 1, 0], [1, 2, 0]),
        ("UINT64", [0, 2**64 - 1, 1], [1, 2, 0]),
        ("INT8", [-128, 127, -128], [1, 0, 2]),
    ],
    ids=["NaN is last", "NaNs by index", "ties", "-inf before NaN", "int64", "uint64", "int8"],
)
def test_the_order_is_falling_ties_by_the_lower_index_nan_last(datatype, row, order):
    (found,) = classes([row], 3, datatype)
    assert [int(text.split(":")[1]) for text in found] == order


def test_labels_follow_the_index():
    labeller = Labeller("y", ("a", "b", "c"), Decision("argmax"))
    assert classes([[1, 3, 2]], 2, labeller=labeller) == [["3.000000:1:b", "2.000000:2:c"]]


def test_another_output_than_the_labelled_one_has_no_labels():
    labeller = Labeller("z", ("a", "b", "c"), Decision("argmax"))
    assert classes([[1, 3, 2]], 1, labeller=labeller) == [["3.000000:1"]]


def test_a_sigmoid_is_told_as_two_classes_whatever_its_threshold():
    labeller = Labeller("y", ("no", "yes"), Decision("sigmoid", 0.9))
    assert classes([[0.75]], 9, labeller=labeller, shape=(-1, 1)) == [["0.750000:1:yes", "0.250000:0:no"]]


@pytest.mark.parametrize(
    ("shape", "array", "texts"),
    [
        ((-1,), [7, 8], [["7.000000:0"], ["8.000000:0"]]),
        ((2,), [7, 8], [["8.000000:1", "7.000000:0"]]),
        ((1, 2), [[7, 8]], [["8.000000:1", "7.000000:0"]]),
        ((), 7, [["7.000000:0"]]),
        ((-1, 2), np.zeros((0, 2)), []),
    ],
    ids=["rows alone", "one row without its axis", "a fixed row", "scalar", "no rows"],
)
def test_a_row_is_all_that_axis_0_does_not_count(shape, array, texts):
    assert classes(array, 9, shape=shape) == texts


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "BOOL", "BYTES"])
def test_what_triton_does_not_classify_is_refused(datatype):
    with pytest.raises(InvalidInput, match=f"classification of {datatype} is not offered"):
        check_classified(TensorSpec("y", datatype, (-1, 3)))
