"""What ModelInfer refuses, with which status and text; mutated messages never become an internal error."""

import random
from typing import Any

import grpc
import numpy as np
import pytest

from protos.inference.tensors_pb2 import (
    InferParameter,
    InferTensorContents,
    ModelInferRequest,
    ModelStreamInferResponse,
)
from tests.contract.open_inference import arrays, classified, dict_of, output, raw, stub, typed
from tests.contract.requests import status_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

SUMS_NAN = raw("sums", [[0, float("nan"), 0]], name="features")
ROW = np.zeros((1, 3), np.float32).tobytes()
X = ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 3])


@pytest.fixture
def infer(signet):
    return stub(signet).ModelInfer


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
