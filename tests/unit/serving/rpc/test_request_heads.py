"""A request is known by its head only where all that may differ is its raw contents."""

import pytest

from protos.signet.v1.prediction_pb2 import PredictRequest, Tensor
from serving.rpc.request_heads import HEADS_OF_A_LENGTH, MAX_LENGTHS, MAX_RAW_BYTES, RequestHeads

RAW = b"abcdefgh"


def with_raw(request: PredictRequest, raw: bytes) -> PredictRequest:
    other = PredictRequest()
    other.CopyFrom(request)
    other.tensors[0].raw = raw
    return other


def request_of(raw: bytes = RAW, **fields) -> PredictRequest:
    tensor = Tensor(name="x", datatype="FP32", shape=[1, 2], raw=raw)
    return PredictRequest(**{"model": "letters", "tensors": [tensor], **fields})


@pytest.fixture
def heads() -> RequestHeads[PredictRequest, str]:
    return RequestHeads(PredictRequest, with_raw)


def learn(heads, request: PredictRequest, meaning: str = "known") -> bytes:
    data = request.SerializeToString()
    heads.learn(data, request, request.tensors[0].raw, meaning)
    return data


def test_other_contents_behind_the_same_head_are_known_and_lie_where_it_says(heads):
    learn(heads, request_of())
    data = request_of(b"12345678").SerializeToString()
    meaning, start = heads.recall(data)
    assert (meaning, data[start:]) == ("known", b"12345678")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(request_of(model="numbers"), id="another model of the same length"),
        pytest.param(request_of(b"1234"), id="fewer contents"),
        pytest.param(request_of(version=1), id="a version"),
        pytest.param(request_of(top_k=3), id="a field behind the contents"),
    ],
)
def test_a_request_that_differs_in_anything_else_is_not_known(heads, other):
    learn(heads, request_of())
    assert heads.recall(other.SerializeToString()) is None


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(request_of(top_k=3), id="a field behind the contents"),
        pytest.param(request_of(b""), id="no contents"),
        pytest.param(request_of(b"x" * (MAX_RAW_BYTES + 1)), id="large contents"),
        pytest.param(request_of(b"x", images=[b"x"]), id="another field that ends as the contents do"),
    ],
)
def test_a_request_that_does_not_end_with_its_contents_is_not_learned(heads, request_):
    assert heads.recall(learn(heads, request_)) is None


def test_contents_that_come_twice_are_not_learned(heads):
    first, second = request_of(), PredictRequest(tensors=[Tensor(raw=RAW)])
    data = first.SerializeToString() + second.SerializeToString()
    heads.learn(data, PredictRequest.FromString(data), RAW, "two tensors")
    assert heads.recall(data) is None


def test_what_is_remembered_is_bounded_and_the_newest_stay(heads):
    lengths = [learn(heads, request_of(b"x" * (n + 1))) for n in range(MAX_LENGTHS + 1)]
    assert heads.recall(lengths[0]) is None
    assert heads.recall(lengths[-1]) is not None
    same_length = [learn(heads, request_of(model=f"model{n}")) for n in range(HEADS_OF_A_LENGTH + 1)]
    assert [heads.recall(data) is None for data in same_length] == [True] + [False] * HEADS_OF_A_LENGTH


def test_what_is_learned_again_replaces_what_was_known(heads):
    data = learn(heads, request_of(), "old")
    learn(heads, request_of(), "new")
    assert heads.recall(data)[0] == "new"
