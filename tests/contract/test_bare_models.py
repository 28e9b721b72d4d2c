"""Any ONNX file without a manifest is served: as tensors, with labels if a label file lies beside it."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from protos.signet.v1.models_pb2 import GetModelRequest
from protos.signet.v1.prediction_pb2 import PredictRequest, Tensor
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import array_of, letters, raw_tensor
from tests.running_server import running_server


def ask(signet, model: str, **arrays) -> dict[str, np.ndarray]:
    tensors = [raw_tensor(name, array) for name, array in arrays.items()]
    answer = signet.prediction.Predict(PredictRequest(model=model, tensors=tensors))
    assert not answer.predictions
    return {tensor.name: array_of(tensor) for tensor in answer.outputs}


def unbatched_reason(signet, model: str) -> str:
    return signet.models.GetModel(GetModelRequest(model=model)).unbatched_reason


def test_class_indices_json_beside_the_model_labels_its_answers(signet):
    tensor = raw_tensor("x", np.array([[0, 9, 0], [0, 0, 9]], np.float32))
    answer = signet.prediction.Predict(PredictRequest(model="indexed", tensors=[tensor]))
    assert [(row.label, row.class_index) for row in answer.predictions] == [("y", 1), ("z", 2)]


@pytest.mark.parametrize("labels_of", ["version", "model"])
def test_labels_txt_in_the_folder_of_the_version_or_of_the_model_labels_its_answers(tmp_path, labels_of):
    folder = tiny.put_bare(tmp_path, "letters", tiny.linear_model())
    (folder if labels_of == "version" else folder.parent).joinpath("labels.txt").write_text("one\ntwo\nthree\n")
    with running_server(tmp_path) as server:
        connection = connect(server)
        answer = connection.prediction.Predict(letters([[0, 9, 0]]))
        connection.channel.close()
    assert (answer.predictions[0].label, len(answer.outputs)) == ("two", 0)


def test_two_labels_for_an_output_of_width_one_make_a_sigmoid_model(signet):
    tensor = raw_tensor("x", np.array([[0.75], [0.25]], np.float32))
    answer = signet.prediction.Predict(PredictRequest(model="coin", tensors=[tensor]))
    assert [(row.label, row.probability) for row in answer.predictions] == [("heads", 0.75), ("tails", 0.25)]


def test_a_model_without_inputs_is_refused_since_nobody_could_ask_it(tmp_path):
    constant = onnx.helper.make_node("Constant", [], ["y"], value_float=1.0)
    tiny.put_bare(tmp_path, "constant", tiny.model_bytes([constant], [], [tiny.value("y", [])]))
    with running_server(tmp_path) as server:
        connection = connect(server)
        status = connection.models.GetModel(GetModelRequest(model="constant")).status
        connection.channel.close()
    assert status.reason == "model.onnx: it has no inputs, so there is nothing to ask it"


def test_a_model_of_several_inputs_and_outputs_answers_with_all_outputs(signet):
    a, b = np.array([[1, 2]], np.float32), np.array([[10, 20]], np.float32)
    outputs = ask(signet, "pairs", a=a, b=b)
    assert outputs["sum"].tolist() == [[11, 22]]
    assert outputs["difference"].tolist() == [[-9, -18]]


def test_outputs_with_other_rows_than_the_input_are_served_unbatched(signet):
    outputs = ask(signet, "detection", x=np.array([[0, 5], [0, 0], [7, 7]], np.float32))
    assert outputs["found"].tolist() == [[0, 1], [2, 0], [2, 1]]
    assert outputs["count"].tolist() == [3]
    assert unbatched_reason(signet, "detection") == "axis 0 of count INT64 [1] is not free"


def test_a_row_in_which_nothing_is_found_gets_an_output_of_no_rows(signet):
    outputs = ask(signet, "detection", x=np.zeros((1, 2), np.float32))
    assert outputs["found"].shape == (0, 2)


def test_an_image_for_each_image_comes_from_a_model_of_segmentation(signet):
    pictures = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    np.testing.assert_array_equal(ask(signet, "free", x=pictures)["y"], pictures)


def test_a_fixed_batch_axis_is_served_unbatched(signet):
    assert ask(signet, "fixed", x=np.array([[1, 2]], np.float32))["y"].tolist() == [[2, 4]]
    assert unbatched_reason(signet, "fixed") == "axis 0 of x FP32 [1, 2] is not free"


def test_a_model_without_any_axis_is_served_unbatched(signet):
    assert ask(signet, "scalar", x=np.array(3, np.float32))["y"].tolist() == 3
    assert "is not free" in unbatched_reason(signet, "scalar")


def test_rows_that_depend_on_each_other_are_never_mixed_with_other_callers(signet):
    assert ask(signet, "centred", x=np.array([[1, 0], [3, 0]], np.float32))["y"].tolist() == [[-1, 0], [1, 0]]


def test_text_tensors_travel_raw_and_typed(signet):
    raw = b"".join(len(word).to_bytes(4, "little") + word for word in (b"one", b""))
    for tensor in (
        Tensor(name="x", datatype="BYTES", shape=[1, 2], raw=raw),
        Tensor(name="x", datatype="BYTES", shape=[1, 2], bytes_values=[b"one", b""]),
    ):
        answer = signet.prediction.Predict(PredictRequest(model="text", tensors=[tensor]))
        assert answer.outputs[0].raw == raw


DATATYPES = {
    "BOOL": (TensorProto.BOOL, np.bool_, "bool_values"),
    "UINT8": (TensorProto.UINT8, np.uint8, "uint32_values"),
    "UINT16": (TensorProto.UINT16, np.uint16, "uint32_values"),
    "UINT32": (TensorProto.UINT32, np.uint32, "uint32_values"),
    "UINT64": (TensorProto.UINT64, np.uint64, "uint64_values"),
    "INT8": (TensorProto.INT8, np.int8, "int32_values"),
    "INT16": (TensorProto.INT16, np.int16, "int32_values"),
    "INT32": (TensorProto.INT32, np.int32, "int32_values"),
    "INT64": (TensorProto.INT64, np.int64, "int64_values"),
    "FP16": (TensorProto.FLOAT16, np.float16, ""),
    "FP32": (TensorProto.FLOAT, np.float32, "float_values"),
    "FP64": (TensorProto.DOUBLE, np.float64, "double_values"),
}


@pytest.fixture(scope="module")
def of_each_datatype(tmp_path_factory):
    root = tmp_path_factory.mktemp("datatypes")
    for name, (datatype, _, _) in DATATYPES.items():
        tiny.put_bare(root, name, tiny.identity_model(datatype))
    with running_server(root) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()


@pytest.mark.parametrize("name", DATATYPES)
def test_each_datatype_comes_back_as_it_was_sent(of_each_datatype, name):
    _, dtype, values_field = DATATYPES[name]
    array: np.ndarray = np.array([[1, 0], [0, 1]]).astype(dtype)
    fields: list[dict[str, Any]] = [{"raw": array.tobytes()}]
    if values_field:
        fields.append({values_field: array.ravel().tolist()})
    for content in fields:
        tensor = Tensor(name="x", datatype=name, shape=[2, 2], **content)
        answer = of_each_datatype.prediction.Predict(PredictRequest(model=name, tensors=[tensor]))
        assert (answer.outputs[0].datatype, answer.outputs[0].raw) == (name, array.tobytes())
