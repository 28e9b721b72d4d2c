"""The named values beside the messages of the Open Inference Protocol, and its versions.

Owns which parameters mean something here and of which type they are; others are ignored, as the protocol has it. Does
not know tensors.
"""

import time
from collections.abc import Mapping

from protos.inference.tensors_pb2 import InferParameter
from serving.errors import InvalidInput, NotOffered
from serving.inference.waiting import LOW, NORMAL
from serving.rpc.methods import Call

HIGHEST_PRIORITY = 1
PRIORITIES = 2
MAX_VERSION_DIGITS = 18
MICROSECONDS = 1_000_000

Parameters = Mapping[str, InferParameter]


def version_number(text: str) -> int | None:
    """The version that a message names; None, the default one, for "". Raises InvalidInput."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_VERSION_DIGITS):
        raise InvalidInput(f"model_version: {text[:32]!r} came; a number, or nothing for the default, was expected")
    return int(text)


def apply_timeout(parameters: Parameters, call: Call) -> None:
    """Bring the deadline of `call` forward by the parameter timeout: microseconds, 0 is none. Raises InvalidInput."""
    microseconds = whole_number(parameters, "timeout")
    if microseconds:
        call.deadline = min(call.deadline, time.monotonic() + microseconds / MICROSECONDS)


def priority_of(parameters: Parameters) -> int:
    """NORMAL for priority 1, the highest, and 0, the default; LOW for any lower one. Raises InvalidInput."""
    return LOW if (whole_number(parameters, "priority") or 0) > HIGHEST_PRIORITY else NORMAL


def class_count(output: str, parameters: Parameters) -> int:
    """How many classes to answer instead of the numbers of `output`; 0 if it is not to be classified."""
    parameter = parameters.get("classification")
    if parameter is None:
        return 0
    kind = parameter.WhichOneof("parameter_choice")
    if kind != "int64_param" or parameter.int64_param <= 0:
        came = "nothing" if kind is None else f"{kind} {str(getattr(parameter, kind))[:32]}"
        raise InvalidInput(f"output {output}: classification: {came} came; int64_param of 1 or more was expected")
    return parameter.int64_param


def whole_number(parameters: Parameters, name: str) -> int | None:
    """The parameter `name`, None if it did not come. Raises InvalidInput unless it is an integer of 0 or more."""
    parameter = parameters.get(name)
    if parameter is None:
        return None
    kind = parameter.WhichOneof("parameter_choice")
    if kind == "int64_param" and parameter.int64_param >= 0:
        return parameter.int64_param
    if kind == "uint64_param":
        return parameter.uint64_param
    came = "nothing" if kind is None else f"{kind} {str(getattr(parameter, kind))[:32]}"
    raise InvalidInput(f"parameter {name}: {came} came; int64_param or uint64_param of 0 or more was expected")


def refuse_shared_memory(tensor: str, parameters: Parameters) -> None:
    """Raise NotOffered if the contents of a tensor shall go through shared memory."""
    if "shared_memory_region" in parameters:
        raise NotOffered(f"{tensor}: shared memory is not offered; send its contents in the message")
