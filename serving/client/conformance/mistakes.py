"""Requests with one mistake each.

Owns how a request is spoilt. Does not know what a server should say to it.
"""

from collections.abc import Callable

import numpy as np

from protos.inference.tensors_pb2 import InferTensorContents, ModelInferRequest
from serving.client.conformance import tensor_forms
from serving.client.conformance.check import NotTried
from serving.client.conformance.server_checks import UNKNOWN_MODEL, UNKNOWN_VERSION, versions_of
from serving.client.conformance.subject import Subject, TensorSpec

Spoilt = Callable[[Subject], ModelInferRequest]

HALF_OF_64_BITS = 2**32


def right(subject: Subject) -> ModelInferRequest:
    """A raw request to the main model without a mistake."""
    return subject.main.request(subject.main.arrays(rows=1))


def right_typed(subject: Subject) -> ModelInferRequest:
    """The same, typed."""
    model = subject.typed()
    return model.request(model.arrays(rows=1), "typed")


def unknown_model(subject: Subject) -> ModelInferRequest:
    """A model that is not there."""
    request = right(subject)
    request.model_name = UNKNOWN_MODEL
    return request


def unknown_version(subject: Subject) -> ModelInferRequest:
    """A version that is not there."""
    versions_of(subject)
    request = right(subject)
    request.model_version = UNKNOWN_VERSION
    return request


def missing_input(subject: Subject) -> ModelInferRequest:
    """One input too few."""
    request = right(subject)
    del request.inputs[-1], request.raw_input_contents[-1]
    return request


def unknown_output(subject: Subject) -> ModelInferRequest:
    """An output asked for that the model has not."""
    request = right(subject)
    request.outputs.add(name="no_such_output")
    return request


def undefined_datatype(subject: Subject) -> ModelInferRequest:
    """A datatype that the protocol has not."""
    request = right(subject)
    request.inputs[0].datatype = "FLOAT32"
    return request


def negative_dimensions(subject: Subject) -> ModelInferRequest:
    """Two negative lengths, whose product is the number of elements."""
    request = right(subject)
    elements = int(np.prod(request.inputs[0].shape))
    request.inputs[0].shape[:] = [-1, -elements]
    return request


def overflowing_shape(subject: Subject) -> ModelInferRequest:
    """A shape whose number of elements is 0 in 64 bits, and no contents."""
    request = right(subject)
    request.inputs[0].shape[:] = [HALF_OF_64_BITS, HALF_OF_64_BITS]
    request.raw_input_contents[0] = b""
    return request


def raw_too_short(subject: Subject) -> ModelInferRequest:
    """One byte too few."""
    request = right(subject)
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]
    return request


def raw_too_long(subject: Subject) -> ModelInferRequest:
    """As many bytes again."""
    request = right(subject)
    request.raw_input_contents[0] *= 2
    return request


def raw_entry_missing(subject: Subject) -> ModelInferRequest:
    """Raw contents of all inputs but the last."""
    model = subject.with_several_inputs()
    request = model.request(model.arrays(rows=1))
    del request.raw_input_contents[-1]
    return request


def raw_entry_too_many(subject: Subject) -> ModelInferRequest:
    """Raw contents of one input more than there are."""
    request = right(subject)
    request.raw_input_contents.append(b"\0" * 8)
    return request


def raw_and_typed(subject: Subject) -> ModelInferRequest:
    """Both forms at once."""
    model = subject.typed()
    arrays = model.arrays(rows=1)
    request = model.request(arrays)
    first = request.inputs[0]
    first.contents.CopyFrom(tensor_forms.to_typed(arrays[first.name], first.datatype))
    return request


def typed_too_few(subject: Subject) -> ModelInferRequest:
    """One element too few."""
    request = right_typed(subject)
    del _elements(request)[-1]
    return request


def typed_too_many(subject: Subject) -> ModelInferRequest:
    """One element too many."""
    request = right_typed(subject)
    elements = _elements(request)
    elements.append(elements[0])
    return request


def typed_in_another_list(subject: Subject) -> ModelInferRequest:
    """The values in the list of another datatype."""
    request = right_typed(subject)
    elements = len(_elements(request))
    first = request.inputs[0]
    is_integer = tensor_forms.DATATYPES[first.datatype].field == "int_contents"
    contents = (
        InferTensorContents(int64_contents=[1] * elements)
        if is_integer
        else InferTensorContents(int_contents=[1] * elements)
    )
    first.contents.CopyFrom(contents)
    return request


def fp16_typed(subject: Subject) -> ModelInferRequest:
    """FP16 as a list of floats."""
    model = subject.with_datatype("FP16")
    if len(model.inputs) > 1:
        raise NotTried(f"no model takes FP16 alone: {subject.name}_fp16 was looked for")
    request = model.request(model.arrays(rows=1))
    elements = len(request.raw_input_contents[0]) // 2
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp32_contents.extend([1.0] * elements)
    return request


def bytes_cut_off(subject: Subject) -> ModelInferRequest:
    """A last element of BYTES whose length says more than there is."""
    model = subject.with_datatype("BYTES")
    request = model.request(model.arrays(rows=1))
    index = [spec.datatype for spec in model.inputs].index("BYTES")
    request.raw_input_contents[index] = request.raw_input_contents[index][:-1]
    return request


def extra_input(subject: Subject) -> ModelInferRequest:
    """An input that the model has not."""
    request = right(subject)
    request.inputs.add(name="no_such_input", datatype="FP32", shape=[1])
    request.raw_input_contents.append(b"\0" * 4)
    return request


def input_twice(subject: Subject) -> ModelInferRequest:
    """The same input twice."""
    request = right(subject)
    request.inputs.add().CopyFrom(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])
    return request


def wrong_datatype(subject: Subject) -> ModelInferRequest:
    """A datatype that is not the input's, with contents that fit it."""
    request = right(subject)
    first = request.inputs[0]
    first.datatype = "INT64" if first.datatype != "INT64" else "FP64"
    request.raw_input_contents[0] = tensor_forms.to_raw(tensor_forms.values(first.datatype, tuple(first.shape)))
    return request


def wrong_shape(subject: Subject) -> ModelInferRequest:
    """A length that is not the one that the metadata fix, with contents that fit it; without such, a rank too many."""
    request = right(subject)
    first = request.inputs[0]
    first.shape[:] = _another_shape(subject.main.inputs[0], list(first.shape))
    request.raw_input_contents[0] = tensor_forms.to_raw(tensor_forms.values(first.datatype, tuple(first.shape)))
    return request


def _elements(request: ModelInferRequest) -> "list[object]":
    first = request.inputs[0]
    elements: list[object] = getattr(first.contents, tensor_forms.DATATYPES[first.datatype].field)
    return elements


def _another_shape(spec: TensorSpec, shape: list[int]) -> list[int]:
    fixed = [axis for axis, length in enumerate(spec.shape) if length > 0]
    if not fixed:
        return [*shape, 3]
    shape[fixed[-1]] += 1
    return shape
