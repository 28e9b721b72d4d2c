"""ModelInfer and ModelStreamInfer as the Open Inference Protocol has them: contents, outputs, ids, parameters."""

import struct

import grpc
import numpy as np
import pytest
from onnx import TensorProto

from protos.inference.tensors_pb2 import (
    InferParameter,
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
)
from serving.rpc.open_inference_decoding import CONTENTS_FIELD
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.open_inference import arrays, dict_of, output, raw, stub, typed
from tests.contract.requests import status_of, sums
from tests.running_server import running_server

INVALID = grpc.StatusCode.INVALID_ARGUMENT

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}

VALUES: dict[str, list] = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 2**16 - 1],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FP16": [0.5, -65504.0],
    "FP32": [0.5, -1.5],
    "FP64": [0.1, -1e300],
}


@pytest.fixture(scope="module")
def identities(tmp_path_factory, transport):
    """A server of an identity model of each datatype."""
    root = tmp_path_factory.mktemp("identities")
    for datatype, number in ONNX_TYPES.items():
        tiny.put_bare(root, f"identity_{datatype}", tiny.identity_model(number))
    with running_server(root, transport=transport) as server:
        connection = connect(server)
        yield stub(connection)
        connection.channel.close()


@pytest.fixture
def infer(signet):
    return stub(signet).ModelInfer


@pytest.mark.parametrize("datatype", VALUES)
def test_raw_contents_of_each_datatype_come_back_raw(identities, datatype):
    request = raw(f"identity_{datatype}", [VALUES[datatype]], datatype)
    answer = identities.ModelInfer(request)
    assert answer.raw_output_contents == request.raw_input_contents
    assert answer.outputs == [ModelInferResponse.InferOutputTensor(name="y", datatype=datatype, shape=[1, 2])]


def test_raw_bf16_comes_back_in_its_bits(identities):
    bits = struct.pack("<2H", 0x3F80, 0x7FC1)
    tensor = ModelInferRequest.InferInputTensor(name="x", datatype="BF16", shape=[1, 2])
    answer = identities.ModelInfer(
        ModelInferRequest(model_name="identity_BF16", inputs=[tensor], raw_input_contents=[bits])
    )
    assert (answer.outputs[0].datatype, answer.raw_output_contents) == ("BF16", [bits])


@pytest.mark.parametrize("datatype", sorted(set(VALUES) - {"FP16"}))
def test_typed_contents_of_each_datatype_come_back_typed(identities, datatype):
    answer = identities.ModelInfer(typed(f"identity_{datatype}", [1, 2], VALUES[datatype], datatype))
    (tensor,) = answer.outputs
    assert not answer.raw_output_contents
    assert list(getattr(tensor.contents, CONTENTS_FIELD[datatype])) == VALUES[datatype]
    assert (tensor.name, tensor.datatype, tensor.shape) == ("y", datatype, [1, 2])


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_has_no_typed_contents(identities, datatype):
    contents = InferTensorContents(fp32_contents=[1, 2])
    tensor = ModelInferRequest.InferInputTensor(name="x", datatype=datatype, shape=[1, 2], contents=contents)
    request = ModelInferRequest(model_name=f"identity_{datatype}", inputs=[tensor])
    code, text = status_of(identities.ModelInfer, request)
    assert (code, text) == (INVALID, f"input x: fp32_contents came; {datatype} goes in raw_input_contents alone")


def test_texts_come_back_as_they_came(identities):
    elements = [b"a", "ÿ€".encode()]
    raw_bytes = b"".join(struct.pack("<I", len(one)) + one for one in elements)
    tensor = ModelInferRequest.InferInputTensor(name="x", datatype="BYTES", shape=[1, 2])
    answer = identities.ModelInfer(
        ModelInferRequest(model_name="identity_BYTES", inputs=[tensor], raw_input_contents=[raw_bytes])
    )
    assert answer.raw_output_contents == [raw_bytes]
    answer = identities.ModelInfer(typed("identity_BYTES", [1, 2], elements, "BYTES"))
    assert answer.outputs[0].contents.bytes_contents == elements


def test_large_texts_are_answered_as_small_ones_are(identities):
    elements = [b"a" * 50_000, b"b" * 50_000]
    answer = identities.ModelInfer(typed("identity_BYTES", [1, 2], elements, "BYTES"))
    assert answer.outputs[0].contents.bytes_contents == elements


def test_an_answer_names_model_version_and_id(infer):
    answer = infer(raw("letters", [[0, 9, 0]], id="some id"))
    assert (answer.model_name, answer.model_version, answer.id) == ("letters", "1", "some id")
    assert arrays(answer)["y"].argmax() == 1
    assert infer(raw("letters", [[0, 9, 0]], model_version="1")).id == ""


def test_contents_that_hold_nothing_may_stand_beside_raw_ones(infer):
    request = raw("letters", [[0, 9, 0]])
    request.inputs[0].contents.SetInParent()
    assert infer(request) == infer(raw("letters", [[0, 9, 0]]))


def test_outputs_come_as_asked_for_and_all_if_none_is(infer):
    a, b = (ModelInferRequest.InferInputTensor(name=name, datatype="FP32", shape=[1, 2]) for name in ("a", "b"))
    rows = [np.array(row, np.float32).tobytes() for row in ([3, 4], [1, 2])]
    request = ModelInferRequest(model_name="pairs", inputs=[a, b], raw_input_contents=rows)
    assert {name: array.tolist() for name, array in arrays(infer(request)).items()} == {
        "sum": [[4, 6]],
        "difference": [[2, 2]],
    }
    request.outputs.extend([output("difference")])
    assert list(arrays(infer(request))) == ["difference"]


def test_raw_contents_stand_in_the_order_of_the_inputs(infer):
    b, a = (ModelInferRequest.InferInputTensor(name=name, datatype="FP32", shape=[1, 2]) for name in ("b", "a"))
    rows = [np.array(row, np.float32).tobytes() for row in ([1, 2], [3, 4])]
    answer = infer(ModelInferRequest(model_name="pairs", inputs=[b, a], raw_input_contents=rows))
    assert arrays(answer)["difference"].tolist() == [[2, 2]]


@pytest.mark.parametrize(
    "parameters",
    [
        {"timeout": 60_000_000, "priority": 1},
        {"timeout": 0, "priority": 0},
        {"priority": InferParameter(uint64_param=2)},
        {"sequence_id": 7, "sequence_start": True, "sequence_end": False},
        {"binary_data_output": True, "headers": "x", "anything": 0.5, "triton_enable_empty_final_response": True},
    ],
    ids=["timeout and highest priority", "their defaults", "lower priority", "sequence", "unknown ones"],
)
def test_parameters_leave_the_answer_as_it_is(infer, parameters):
    request = raw("letters", [[0, 9, 0]])
    assert infer(raw("letters", [[0, 9, 0]], parameters=dict_of(parameters))) == infer(request)


def test_a_timeout_that_is_over_ends_the_call(infer):
    code, text = status_of(infer, raw("letters", [[0, 9, 0]], parameters=dict_of({"timeout": 1})))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert text


def test_an_answer_is_the_one_that_predict_gives(signet, infer):
    (own,) = signet.prediction.Predict(sums({"a": 1, "b": 2, "c": 3}, return_outputs=True)).outputs
    answer = infer(raw("sums", [[1, 2, 3]], name="features"))
    assert answer.raw_output_contents == [own.raw]
