"""ModelInfer and ModelStreamInfer as the Open Inference Protocol has them: contents, outputs, ids, parameters."""

import queue
import random
import struct
from typing import Any

import grpc
import numpy as np
import pytest
from onnx import TensorProto

from protos.inference.tensors_pb2 import (
    InferParameter,
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
    ModelStreamInferResponse,
)
from serving.rpc.open_inference_decoding import CONTENTS_FIELD
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.open_inference import arrays, classified, dict_of, output, raw, stub, texts, typed
from tests.contract.requests import status_of, sums
from tests.running_server import running_server

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

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


SUMS_NAN = raw("sums", [[0, float("nan"), 0]], name="features")
ROW = np.zeros((1, 3), np.float32).tobytes()
X = ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 3])


def letters(**fields) -> ModelInferRequest:
    return ModelInferRequest(**{"model_name": "letters", "inputs": [X], "raw_input_contents": [ROW], **fields})


def x(**fields) -> ModelInferRequest:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], **fields}
    return letters(inputs=[ModelInferRequest.InferInputTensor(**tensor)])


CASES = {
    "no model named": (ModelInferRequest(), INVALID, "model: '' is no model name"),
    "unknown model": (letters(model_name="nobody"), grpc.StatusCode.NOT_FOUND, "no model named nobody"),
    "unknown version": (letters(model_version="7"), grpc.StatusCode.NOT_FOUND, "has no version 7; it has 1"),
    "version that is no number": (letters(model_version="new"), INVALID, "model_version: 'new' came; a number, or"),
    "negative version": (letters(model_version="-1"), INVALID, "model_version: '-1' came"),
    "model that failed to load": (
        letters(model_name="corrupt"),
        grpc.StatusCode.FAILED_PRECONDITION,
        "model corrupt version 1 failed to load",
    ),
    "no inputs": (letters(inputs=[], raw_input_contents=[]), INVALID, "inputs: input x is missing; the model takes x"),
    "more raw entries than inputs": (
        letters(raw_input_contents=[ROW, ROW]),
        INVALID,
        "raw_input_contents: 2 entries came for 1 inputs; one for each was expected",
    ),
    "fewer raw entries than inputs": (letters(inputs=[X, X]), INVALID, "1 entries came for 2 inputs"),
    "raw and typed": (
        x(contents=InferTensorContents(fp32_contents=[1, 2, 3])),
        INVALID,
        "input x: contents came beside raw_input_contents; one of them was expected",
    ),
    "no contents": (
        letters(raw_input_contents=[]),
        INVALID,
        "input x: 0 values came; 3 were expected for shape [1, 3]",
    ),
    "unknown input": (x(name="z"), INVALID, "inputs: no input is named 'z'; the model takes x FP32 [-1, 3]"),
    "input sent twice": (letters(inputs=[X, X], raw_input_contents=[ROW, ROW]), INVALID, "input x came twice"),
    "other datatype": (x(datatype="FP64"), INVALID, "input x: datatype 'FP64' came; FP32 was expected"),
    "other shape": (x(shape=[1, 4]), INVALID, "input x: shape [1, 4] came; [-1, 3] was expected"),
    "shape whose product overflows": (x(shape=[2**62, 3]), INVALID, f"{2**62} rows came; 1 to 500 were expected"),
    "a byte too few": (letters(raw_input_contents=[ROW[1:]]), INVALID, "11 bytes came; 12 were expected for FP32"),
    "values too few": (typed("letters", [1, 3], [1, 2]), INVALID, "2 values came; 3 were expected for shape [1, 3]"),
    "no rows": (x(shape=[0, 3]), INVALID, "0 rows came; 1 to 500 were expected"),
    "a feature that is not finite": (SUMS_NAN, INVALID, "nan"),
    "unknown output": (letters(outputs=[output("z")]), INVALID, "outputs: no output is named 'z'; the model gives y"),
    "output asked for twice": (letters(outputs=[output("y"), output("y")]), INVALID, "outputs: y is asked for twice"),
    "timeout that is no number": (
        letters(parameters=dict_of({"timeout": "soon"})),
        INVALID,
        "parameter timeout: string_param soon came; int64_param or uint64_param of 0 or more was expected",
    ),
    "negative timeout": (letters(parameters=dict_of({"timeout": -1})), INVALID, "timeout: int64_param -1 came"),
    "priority without a value": (
        letters(parameters={"priority": InferParameter()}),
        INVALID,
        "parameter priority: nothing came",
    ),
    "classes that are no number": (
        letters(outputs=[output("y", classification="3")]),
        INVALID,
        "output y: classification: string_param 3 came; int64_param of 1 or more was expected",
    ),
    "no classes": (letters(outputs=[classified("y", 0)]), INVALID, "classification: int64_param 0 came"),
    "negative classes": (letters(outputs=[classified("y", -1)]), INVALID, "classification: int64_param -1 came"),
    "classes of texts": (
        typed("text", [1, 2], [b"a", b"b"], "BYTES", outputs=[classified("y", 1)]),
        INVALID,
        "output y: classification of BYTES is not offered",
    ),
    "input in shared memory": (
        x(parameters=dict_of({"shared_memory_region": "r"})),
        UNIMPLEMENTED,
        "input x: shared memory is not offered",
    ),
    "output to shared memory": (
        letters(outputs=[output("y", shared_memory_region="r")]),
        UNIMPLEMENTED,
        "output y: shared memory is not offered",
    ),
    "row that the model fails on": (
        raw("gather", [[99]], "INT64", "index"),
        INVALID,
        "the model failed on this input",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_status_and_the_text_say_what_is_wrong(infer, case):
    request, code, text = case
    got_code, got_text = status_of(infer, request, timeout=10)
    assert got_code == code
    assert text in got_text
    assert arrays(infer(raw("letters", [[0, 9, 0]])))["y"].argmax() == 1


def test_an_answer_is_the_one_that_predict_gives(signet, infer):
    (own,) = signet.prediction.Predict(sums({"a": 1, "b": 2, "c": 3}, return_outputs=True)).outputs
    answer = infer(raw("sums", [[1, 2, 3]], name="features"))
    assert answer.raw_output_contents == [own.raw]


def test_classes_come_by_falling_score_as_text_with_their_labels(infer):
    answer = infer(raw("letters", [[1, 3, 2], [9, 0, 0]], outputs=[classified("y", 2)]))
    (tensor,) = answer.outputs
    assert (tensor.name, tensor.datatype, tensor.shape) == ("y", "BYTES", [2, 2])
    exponentials = np.exp(np.array([1, 3, 2]))
    b, c = (exponentials / exponentials.sum())[[1, 2]]
    found = texts(answer.raw_output_contents[0])
    assert found[:2] == [f"{b:f}:1:b", f"{c:f}:2:c"]
    assert [one.partition(":")[2] for one in found[2:]] == ["0:a", "1:b"]


def test_more_classes_than_there_are_means_all_and_a_tie_goes_to_the_lower_index(infer):
    answer = infer(raw("letters", [[0, 0, 0]], outputs=[classified("y", 1000)]))
    assert answer.outputs[0].shape == [1, 3]
    assert texts(answer.raw_output_contents[0]) == ["0.333333:0:a", "0.333333:1:b", "0.333333:2:c"]


def test_a_sigmoid_has_two_classes(infer):
    answer = infer(raw("sums", [[0, 0, 0], [9, 9, 9]], name="features", outputs=[classified("probability", 2)]))
    assert texts(answer.raw_output_contents[0]) == [
        "0.500000:0:negative",
        "0.500000:1:positive",
        "1.000000:1:positive",
        "0.000000:0:negative",
    ]


def test_classes_come_raw_though_the_request_came_typed(infer):
    answer = infer(typed("letters", [1, 3], [0, 9, 0], outputs=[classified("y", 1)]))
    assert texts(answer.raw_output_contents[0])[0].endswith(":1:b")


def test_classes_of_a_tensor_are_counted_over_all_that_is_not_rows(infer):
    answer = infer(raw("free", [[[1], [3], [2]]], outputs=[classified("y", 2)]))
    assert texts(answer.raw_output_contents[0]) == ["3.000000:1", "2.000000:2"]


def test_more_classes_than_an_answer_should_hold_are_refused(infer):
    code, text = status_of(infer, raw("free", np.zeros((500, 600, 1)), outputs=[classified("y", 600)]))
    assert code == INVALID
    assert "500 rows of 600 classes were asked for; at most 65536 classes" in text


def test_a_stream_answers_in_order_and_an_error_leaves_it_open(signet):
    good = [raw("letters", [[0, 9, 0]], id=str(n)) for n in range(100)]
    bad = letters(model_name="nobody", id="bad")
    answers = list(stub(signet).ModelStreamInfer(iter([*good, bad, *good])))
    assert [one.infer_response.id for one in answers] == [one.id for one in [*good, bad, *good]]
    assert [one.error_message for one in answers if one.error_message] == ["no model named nobody"]
    assert all(one.infer_response.parameters["triton_final_response"].bool_param for one in answers)
    assert arrays(answers[0].infer_response)["y"].argmax() == 1


def test_a_stream_answers_before_it_ends(signet):
    more: queue.SimpleQueue[ModelInferRequest | None] = queue.SimpleQueue()
    stream = stub(signet).ModelStreamInfer(iter(more.get, None))
    for n in range(3):
        more.put(raw("letters", [[0, 9, 0]], id=str(n)))
        assert next(stream).infer_response.id == str(n)
    more.put(None)
    assert list(stream) == []


def test_bytes_that_are_no_message_fail_alone(signet):
    name = "inference.GRPCInferenceService"
    unary = signet.channel.unary_unary(f"/{name}/ModelInfer")
    code, text = status_of(unary, b"\xff\xff")
    assert (code, text) == (INVALID, "the 2 bytes that came are no inference.ModelInferRequest message")
    stream = signet.channel.stream_stream(f"/{name}/ModelStreamInfer")
    answers = stream(iter([b"\xff\xff", raw("letters", [[0, 9, 0]]).SerializeToString()]))
    failed, answered = map(ModelStreamInferResponse.FromString, answers)
    assert failed.error_message == text
    assert answered.infer_response.model_name == "letters"


def test_mutated_requests_are_answered_or_refused_but_never_an_internal_error(signet):
    generator = random.Random(0)
    call = signet.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    options: dict[str, Any] = {"parameters": dict_of({"timeout": 9_000_000, "priority": 1}), "id": "i"}
    whole = [
        raw("letters", [[1, 2, 3]], outputs=[classified("y", 2)], **options).SerializeToString(),
        typed("letters", [1, 3], [1, 2, 3], **options).SerializeToString(),
        typed("text", [1, 2], [b"a", b"b"], "BYTES", **options).SerializeToString(),
    ]
    codes = set()
    for _ in range(1000):
        data = bytearray(generator.choice(whole))
        for _ in range(generator.randint(1, 3)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        codes.add(call.future(bytes(data), timeout=10).code())
    assert codes <= {grpc.StatusCode.OK, INVALID, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.DEADLINE_EXCEEDED}
