"""A signature says which arrays fit and how many rows they hold."""

import numpy as np
import pytest

from serving.inference.signature import Signature, TensorSpec


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        pytest.param((1, 3), True, id="one row"),
        pytest.param((900, 3), True, id="many rows"),
        pytest.param((1, 4), False, id="another width"),
        pytest.param((3,), False, id="a rank less"),
        pytest.param((1, 3, 1), False, id="a rank more"),
        pytest.param((), False, id="a scalar"),
    ],
)
def test_a_spec_admits_shapes_that_differ_in_free_dimensions_alone(shape, fits):
    assert TensorSpec("x", "FP32", (-1, 3)).admits(shape) == fits


def test_a_spec_names_itself_with_datatype_and_shape():
    assert str(TensorSpec("image", "UINT8", (-1, 28, 28, 1))) == "image UINT8 [-1, 28, 28, 1]"


def test_bytes_are_objects_in_numpy():
    assert TensorSpec("text", "BYTES", (-1,)).dtype == np.dtype(object)


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        pytest.param((-1, 2), 5, id="free axis 0 counts rows"),
        pytest.param((5, 2), 1, id="fixed axis 0 counts one"),
        pytest.param((), 1, id="a scalar counts one"),
    ],
)
def test_rows_are_counted_on_a_free_axis_0_alone(shape, rows):
    signature = Signature((TensorSpec("x", "FP32", shape),), ())
    array = np.zeros([5 if size == -1 else size for size in shape], np.float32)
    assert signature.rows({"x": array}) == rows


def test_an_input_is_found_by_its_name_or_not_at_all():
    spec = TensorSpec("x", "FP32", (-1,))
    signature = Signature((spec,), ())
    assert signature.input("x") is spec
    assert signature.input("y") is None
