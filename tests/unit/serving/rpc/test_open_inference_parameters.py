"""Parameters mean what the protocol says; those of another type are refused with what came."""

import time

import pytest

from protos.inference.tensors_pb2 import InferParameter
from serving.errors import InvalidInput
from serving.inference.waiting import LOW, NORMAL
from serving.rpc.methods import Call
from serving.rpc.open_inference_parameters import apply_timeout, priority_of, version_number


@pytest.mark.parametrize(
    ("parameters", "priority"),
    [
        ({}, NORMAL),
        ({"priority": InferParameter(uint64_param=0)}, NORMAL),
        ({"priority": InferParameter(uint64_param=1)}, NORMAL),
        ({"priority": InferParameter(uint64_param=2)}, LOW),
        ({"priority": InferParameter(int64_param=9)}, LOW),
    ],
    ids=["none", "the default", "the highest", "the next", "far lower, signed"],
)
def test_1_is_the_highest_priority_and_what_is_lower_lets_others_go_first(parameters, priority):
    assert priority_of(parameters) == priority


def test_a_timeout_brings_the_deadline_forward():
    call = Call(float("inf"))
    before = time.monotonic()
    apply_timeout({"timeout": InferParameter(int64_param=2_000_000)}, call)
    assert before + 2 <= call.deadline <= time.monotonic() + 2


@pytest.mark.parametrize("microseconds", [0, 3_600_000_000], ids=["no timeout", "one that is later"])
def test_a_deadline_is_never_put_off(microseconds):
    deadline = time.monotonic() + 1
    call = Call(deadline)
    apply_timeout({"timeout": InferParameter(int64_param=microseconds)}, call)
    assert call.deadline == deadline


@pytest.mark.parametrize(
    ("parameter", "came"),
    [
        (InferParameter(bool_param=True), "bool_param True"),
        (InferParameter(double_param=1.5), "double_param 1.5"),
        (InferParameter(string_param="x" * 99), f"string_param {'x' * 32}"),
        (InferParameter(int64_param=-1), "int64_param -1"),
        (InferParameter(), "nothing"),
    ],
    ids=["bool", "double", "text", "negative", "unset"],
)
def test_what_is_no_whole_number_is_refused(parameter, came):
    expected = f"parameter timeout: {came} came; int64_param or uint64_param of 0 or more was expected"
    with pytest.raises(InvalidInput) as error:
        apply_timeout({"timeout": parameter}, Call(float("inf")))
    assert str(error.value) == expected


def test_a_version_is_a_number_or_the_default():
    assert version_number("") is None
    assert version_number("12") == 12


@pytest.mark.parametrize("text", ["-1", "1.0", " 1", "latest", "٣", "9" * 19], ids=repr)
def test_another_version_is_refused(text):
    with pytest.raises(InvalidInput, match="model_version: "):
        version_number(text)
