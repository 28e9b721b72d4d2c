"""The ONNX files that `signet conformance --write-identity-model` writes without onnx."""

import onnx
import pytest

from serving.client.conformance.identity_model import onnx_file, write_identity_models
from serving.client.conformance.tensor_forms import DATATYPES
from serving.errors import InvalidInput
from tests import tiny_models as tiny

ELEMENT_TYPES = {"BYTES": "STRING", "FP16": "FLOAT16", "BF16": "BFLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE"}


@pytest.mark.parametrize("datatype", DATATYPES)
def test_a_file_is_a_valid_model_with_the_signature_that_onnx_itself_would_write(datatype):
    model = onnx.load_from_string(onnx_file({"x": datatype}))
    onnx.checker.check_model(model, full_check=True)
    number = onnx.TensorProto.DataType.Value(ELEMENT_TYPES.get(datatype, datatype))
    assert model.graph.input[0] == tiny.value("x", ["rows", 2], number)
    assert model.graph.output[0] == tiny.value("x_out", ["rows", 2], number)


def test_a_model_of_several_inputs_gives_each_back():
    model = onnx.load_from_string(onnx_file({"a": "FP32", "b": "INT64"}))
    assert [(node.op_type, *node.input, *node.output) for node in model.graph.node] == [
        ("Identity", "a", "a_out"),
        ("Identity", "b", "b_out"),
    ]


def test_there_is_a_model_of_two_inputs_and_one_of_each_datatype(tmp_path):
    paths = write_identity_models(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in paths} == {
        "identity/1/model.onnx",
        *(f"identity_{datatype.lower()}/1/model.onnx" for datatype in DATATYPES),
    }


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"--write-identity-model .*file: cannot be written"):
        write_identity_models(tmp_path / "file")
