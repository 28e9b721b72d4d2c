from dataclasses import replace

import numpy as np
import pytest

from protos.signet.v1 import models_pb2
from serving.client import decoding
from serving.client.answers import TensorSpec
from serving.client.encoding import Request, encode, only_input
from serving.errors import InvalidInput, ModelBroken, ModelNotReady

SPEC = TensorSpec("x", "FP32", (-1, 2))


def details(state=models_pb2.MODEL_STATE_READY, inputs=("x",)):
    return decoding.details(
        models_pb2.GetModelResponse(
            status=models_pb2.ModelStatus(model="tiny", version=3, state=state, reason="broken"),
            inputs=[models_pb2.TensorSpec(name=name, datatype="FP32", shape=[-1, 2]) for name in inputs],
        )
    )


def test_every_option_of_a_request_is_sent():
    message = encode(Request("m", b"png", 2, top_k=3, return_scores=True, return_outputs=True, id="a"))
    assert (message.model, message.version, message.top_k, message.id) == ("m", 2, 3, "a")
    assert message.return_scores
    assert message.return_outputs


def test_without_a_version_none_is_sent():
    assert not encode(Request("m", b"png")).HasField("version")


def test_an_array_fills_the_models_only_input():
    (tensor,) = encode(Request("m", np.array([1, 2])), SPEC).tensors
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("x", "FP32", [1, 2])


def test_arrays_by_name_go_as_they_are():
    message = encode(Request("m", {"a": np.zeros(2, np.int8), "b": np.zeros(1, np.float64)}))
    assert [(one.name, one.datatype) for one in message.tensors] == [("a", "INT8"), ("b", "FP64")]


@pytest.mark.parametrize("row", [{"a": 1, "b": 2.5}, {"a": np.int64(1), "b": np.float32(2.5)}], ids=["python", "numpy"])
def test_a_dict_of_numbers_is_one_row(row):
    (sent,) = encode(Request("m", row)).features
    assert dict(sent.values) == {"a": 1.0, "b": 2.5}


def test_a_list_of_dicts_is_as_many_rows():
    assert [dict(row.values) for row in encode(Request("m", [{"a": 1}, {"a": 2}])).features] == [{"a": 1}, {"a": 2}]


def test_images_are_paths_text_and_bytes_alike(tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(b"file")
    assert list(encode(Request("m", [path, str(path), b"bytes"])).images) == [b"file", b"file", b"bytes"]


def test_one_image_is_one_row(tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(b"file")
    assert list(encode(Request("m", path)).images) == [b"file"]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"image .*none\.png: cannot be read: No such file"):
        encode(Request("m", [tmp_path / "none.png"]))


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([], "an empty list came"),
        ({}, "features: an empty dict came"),
        ([b"png", {"a": 1}], "images and features came in one list"),
        ([[1, 2]], r"inputs\[0\]: list came; .* rows of numbers go in one NumPy array"),
        ([b"png", None], r"inputs\[1\]: NoneType came"),
        (7, "inputs: int came"),
        ([{"a": 1}, {"a": "1"}], r"features\[1\]: a is a str; a number was expected"),
        ({"a": np.zeros(1), "b": 1}, "features: a is a ndarray; a number was expected"),
        ({1: 2}, "the name 1 is a int; a str was expected"),
        ({"a": 10**400}, "larger than a 64-bit float holds"),
    ],
    ids=[
        "no rows",
        "no features",
        "mixed",
        "list of numbers",
        "None in list",
        "a number",
        "text as number",
        "array among numbers",
        "name that is no text",
        "huge number",
    ],
)
def test_inputs_of_no_kind_are_refused_by_name(inputs, text):
    with pytest.raises(InvalidInput, match=text):
        encode(Request("m", inputs))


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("top_k", 2**31, "top_k: 2147483648 came; an integer of 32 bits was expected"),
        ("top_k", "3", "top_k: '3' came; an integer was expected"),
        ("version", 2**63, "version: .* an integer of 64 bits was expected"),
    ],
)
def test_a_number_that_the_message_cannot_hold_is_refused(field, value, text):
    with pytest.raises(InvalidInput, match=text):
        encode(replace(Request("m", b"png"), **{field: value}))


def test_the_only_input_of_a_ready_model_is_found():
    assert only_input(details()) == SPEC


def test_a_model_with_several_inputs_wants_a_dict():
    with pytest.raises(InvalidInput, match=r"takes x FP32 \[-1, 2\], y FP32 \[-1, 2\]; one array came"):
        only_input(details(inputs=("x", "y")))


@pytest.mark.parametrize(
    ("state", "error"), [(models_pb2.MODEL_STATE_FAILED, ModelBroken), (models_pb2.MODEL_STATE_LOADING, ModelNotReady)]
)
def test_a_model_that_cannot_answer_has_no_input(state, error):
    with pytest.raises(error, match="model tiny version 3"):
        only_input(details(state))
