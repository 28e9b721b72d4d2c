"""Bad input gets a clear text and the right status, and hurts nobody else."""

import random
import struct
import zlib

import grpc
import numpy as np
import pytest

from protos.signet.v1.models_pb2 import GetModelRequest
from protos.signet.v1.prediction_pb2 import FeatureRow, PredictRequest, Tensor
from tests.contract.requests import image_file, letters, raw_tensor, shades, status_of, sums

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
ROW = np.zeros((1, 3), np.float32)


def tensors(*tensors: Tensor) -> PredictRequest:
    return PredictRequest(model="letters", tensors=tensors)


def x(**fields) -> PredictRequest:
    return tensors(Tensor(**{"name": "x", "datatype": "FP32", "shape": [1, 3], "raw": ROW.tobytes(), **fields}))


def free(**fields) -> PredictRequest:
    return PredictRequest(model="free", tensors=[Tensor(name="x", datatype="FP32", **fields)])


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


CASES = {
    "no model named": (PredictRequest(), INVALID, "model: '' is no model name"),
    "unknown model": (PredictRequest(model="nobody"), NOT_FOUND, "no model named nobody"),
    "unknown version": (letters([[1, 2, 3]], version=7), NOT_FOUND, "model letters has no version 7; it has 1"),
    "negative version": (letters([[1, 2, 3]], version=-1), NOT_FOUND, "has no version -1"),
    "name that climbs out of the repository": (
        PredictRequest(model="../letters"),
        INVALID,
        "'../letters' is no model name",
    ),
    "model that failed to load": (
        PredictRequest(model="corrupt"),
        grpc.StatusCode.FAILED_PRECONDITION,
        "model corrupt version 1 failed to load: model.onnx: onnxruntime cannot load it",
    ),
    "no rows of any kind": (PredictRequest(model="letters"), INVALID, "no rows came; one of tensors, images, features"),
    "two kinds in one request": (
        PredictRequest(model="letters", tensors=[raw_tensor("x", ROW)], images=[b"x"]),
        INVALID,
        "tensors and images came; one of tensors, images, features was expected",
    ),
    "unknown tensor": (x(name="z"), INVALID, "no input is named 'z'; the model takes x FP32 [-1, 3]"),
    "tensor sent twice": (tensors(raw_tensor("x", ROW), raw_tensor("x", ROW)), INVALID, "input x came twice"),
    "missing tensor": (
        PredictRequest(model="pairs", tensors=[raw_tensor("a", np.zeros((1, 2), np.float32))]),
        INVALID,
        "input b is missing",
    ),
    "inputs of different rows": (
        PredictRequest(
            model="pairs",
            tensors=[raw_tensor("a", np.zeros((1, 2), np.float32)), raw_tensor("b", np.zeros((2, 2), np.float32))],
        ),
        INVALID,
        "the inputs have different numbers of rows: {'a': 1, 'b': 2}",
    ),
    "other datatype": (x(datatype="FP64"), INVALID, "input x: datatype 'FP64' came; FP32 was expected"),
    "unknown datatype": (x(datatype="FLOAT"), INVALID, "datatype 'FLOAT' came"),
    "other shape": (x(shape=[1, 4]), INVALID, "input x: shape [1, 4] came; [-1, 3] was expected"),
    "other rank": (x(shape=[3]), INVALID, "input x: shape [3] came; [-1, 3] was expected"),
    "negative dimension": (x(shape=[-1, 3]), INVALID, "input x: shape [-1, 3] came"),
    "bytes that do not fit the shape": (
        x(raw=b"\0" * 11),
        INVALID,
        "input x: 11 bytes came; 12 were expected for FP32 [1, 3]",
    ),
    "values that do not fit the shape": (
        x(raw=b"", float_values=[1, 2]),
        INVALID,
        "input x: 2 values came; 3 were expected",
    ),
    "raw and typed values": (x(float_values=[1, 2, 3]), INVALID, "input x: raw, float_values came"),
    "values in the wrong list": (x(raw=b"", int64_values=[1, 2, 3]), INVALID, "FP32 goes in raw or in float_values"),
    "shape whose product overflows": (x(shape=[2**40, 8]), INVALID, "input x: shape [1099511627776, 8] came"),
    "more rows than there is memory": (x(shape=[2**40, 3]), INVALID, "1099511627776 rows came; 1 to 500 were expected"),
    "no rows in a tensor": (x(shape=[0, 3], raw=b""), INVALID, "input x: 0 rows came; 1 to 500 were expected"),
    "more rows than allowed": (letters(np.zeros((501, 3))), INVALID, "501 rows came; 1 to 500 were expected"),
    "shape whose product overflows for a model of free dimensions": (
        free(shape=[8, 2**61, 1]),
        INVALID,
        "input x: 0 bytes came; 73786976294838206464 were expected for FP32 [8, 2305843009213693952, 1]",
    ),
    "shape without elements that no array can have": (
        free(shape=[1, 2**62, 0]),
        INVALID,
        "input x: shape [1, 4611686018427387904, 0] came; no array is that large",
    ),
    "text that is no UTF-8": (
        PredictRequest(
            model="text", tensors=[Tensor(name="x", datatype="BYTES", shape=[1, 2], bytes_values=[b"\xff", b""])]
        ),
        INVALID,
        "input x: a BYTES element is no UTF-8 text",
    ),
    "text that is cut off": (
        PredictRequest(model="text", tensors=[Tensor(name="x", datatype="BYTES", shape=[1, 2], raw=b"\x09\0\0\0ab")]),
        INVALID,
        "input x: BYTES element 0 is cut off",
    ),
    "other rows than a fixed batch axis": (
        PredictRequest(model="fixed", tensors=[raw_tensor("x", np.zeros((2, 2), np.float32))]),
        INVALID,
        "input x: shape [2, 2] came; [1, 2] was expected",
    ),
    "negative top_k": (letters([[1, 2, 3]], top_k=-1), INVALID, "top_k: -1 came; 0 to 1000 was expected"),
    "huge top_k": (letters([[1, 2, 3]], top_k=2**31 - 1), INVALID, "top_k: 2147483647 came"),
    "missing feature": (sums({"a": 1, "b": 2}), INVALID, "features[0]: missing c; the model takes a, b, c"),
    "unknown feature": (
        sums({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3, "weight": 1}),
        INVALID,
        "features[1]: unknown weight; the model takes a, b, c",
    ),
    "unknown feature of a long name outside ASCII": (
        sums({"\N{GRINNING FACE}" * 5000: 1}),
        INVALID,
        "features[0]: missing a, b, c; unknown \N{GRINNING FACE}",
    ),
    "feature too large for the model": (
        sums({"a": 1, "b": 2, "c": 1e300}),
        INVALID,
        "features[0]: c is 1e+300; it does not fit float32",
    ),
    "more rows of features than allowed": (
        sums(*[{"a": 1.0, "b": 2.0, "c": 3.0}] * 501),
        INVALID,
        "features: 501 rows came; at most 500 are allowed",
    ),
    "feature that is no number": (sums({"a": 1, "b": float("nan"), "c": 3}), INVALID, "features[0]: b is nan"),
    "infinite number in a tensor of features": (
        PredictRequest(model="sums", tensors=[raw_tensor("features", np.array([[1, 2, np.inf]], np.float32))]),
        INVALID,
        "features[0]: c is inf; a finite number was expected",
    ),
    "features for a model without names": (
        PredictRequest(model="letters", features=[FeatureRow(values={"a": 1})]),
        INVALID,
        "model letters has no named features; it takes x FP32 [-1, 3]",
    ),
    "images for a model that takes none": (
        PredictRequest(model="letters", images=[image_file(0)]),
        INVALID,
        "model letters takes no images",
    ),
    "PNG that is cut off": (
        PredictRequest(model="shades", images=[image_file(0), image_file(0, size=(40, 40))[:-30]]),
        INVALID,
        "images[1]: a PNG image that is cut off or broken",
    ),
    "decompression bomb": (
        PredictRequest(model="shades", images=[bomb()]),
        INVALID,
        "images[0]: more than the 16777216 pixels allowed",
    ),
    "empty image": (PredictRequest(model="shades", images=[b""]), INVALID, "images[0]: 0 bytes that are no PNG"),
    "text file as an image": (
        PredictRequest(model="shades", images=[b"hello"]),
        INVALID,
        "images[0]: 5 bytes that are no PNG, JPEG, BMP or WebP image",
    ),
    "image format that is not offered": (shades(0, file_format="GIF"), INVALID, "no PNG, JPEG, BMP or WebP image"),
    "row that the model fails on": (
        PredictRequest(model="gather", tensors=[raw_tensor("index", np.array([[99]], np.int64))]),
        INVALID,
        "the model failed on this input",
    ),
}

INTERNAL_WORDS = ("Traceback", "File ", ".py", "/tmp", "Error(", "<class", "object at")  # noqa: S108


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_status_and_the_text_say_what_is_wrong_and_nothing_internal(signet, repository, case):
    request, code, text = case
    got_code, got_text = status_of(signet.prediction.Predict, request, timeout=10)
    assert got_code == code
    assert text in got_text
    assert not [word for word in (*INTERNAL_WORDS, str(repository)) if word in got_text]
    assert signet.prediction.Predict(letters([[0, 9, 0]]), timeout=10).predictions[0].label == "b"


def test_mutated_requests_are_answered_or_refused_but_never_an_internal_error(signet):
    generator = random.Random(0)
    call = signet.channel.unary_unary("/signet.v1.Prediction/Predict")
    whole = [
        one.SerializeToString() for one in (letters([[1, 2, 3]], top_k=2), sums({"a": 1, "b": 2, "c": 3}), shades(0))
    ]
    codes = set()
    for _ in range(1000):
        data = bytearray(generator.choice(whole))
        for _ in range(generator.randint(1, 3)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        codes.add(call.future(bytes(data), timeout=10).code())
    assert codes <= {grpc.StatusCode.OK, INVALID, NOT_FOUND}


@pytest.mark.parametrize("method", ["Prediction/Predict", "Models/GetModel", "Models/ListModels"])
def test_bytes_that_are_no_message_are_invalid_argument(signet, method):
    call = signet.channel.unary_unary(f"/signet.v1.{method}")
    code, text = status_of(call, b"\xff\xff\xff", timeout=10)
    assert code == INVALID
    assert text.startswith("the 3 bytes that came are no signet.v1.")


def test_a_message_over_the_limit_is_resource_exhausted(signet):
    request = PredictRequest(model="letters", images=[b"\0" * (64 * 1024 * 1024 + 1)])
    code, text = status_of(signet.prediction.Predict, request, timeout=30)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in text


def test_an_unknown_method_is_unimplemented(signet):
    code, _ = status_of(signet.channel.unary_unary("/signet.v1.Prediction/Guess"), b"", timeout=10)
    assert code == grpc.StatusCode.UNIMPLEMENTED


def test_an_unknown_model_is_not_found_by_get_model_too(signet):
    assert status_of(signet.models.GetModel, GetModelRequest(model="nobody"))[0] == NOT_FOUND
