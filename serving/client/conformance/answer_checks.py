"""Promises about the answers to requests that are right."""

import math

import numpy as np

from serving.client.conformance import tensor_forms
from serving.client.conformance.check import Check, NotTried, convention, must
from serving.client.conformance.server_checks import versions_of
from serving.client.conformance.subject import (
    Form,
    IdentityModel,
    InferReply,
    Subject,
    broken_if,
    expect_equal,
    outputs_of,
)
from serving.client.conformance.tensor_forms import DATATYPES

RAW = "ModelInferRequest.raw_input_contents"
TYPED = "InferTensorContents"
IDS = ("42", "7f3c2f8e-0000-4000-8000-000000000000", "x" * 1000)
ID_OF_ANY_TEXT = "\u00fcber \u2713"
MANY_ROWS = 17


def _round_trip(datatype: str, form: Form) -> Check[Subject]:
    def attempt(subject: Subject) -> None:
        subject.expect_answer(subject.with_datatype(datatype), form=form)

    promise = f"{datatype} comes back, sent {form}"
    # The table of datatypes in the specification has no BF16; a comment of the proto does.
    make = convention if datatype == "BF16" else must
    source = f"{RAW if form == 'raw' else TYPED}; inference_grpc.md, Tensor Data Types"
    return make(f"datatypes.{form}.{datatype.lower()}", promise, source)(attempt)


@must("infer.raw-equals-typed", "The same values sent raw and typed give the same answer", RAW)
def _raw_equals_typed(subject: Subject) -> None:
    model = subject.typed()
    arrays = model.arrays(seed=3)
    raw, typed = (subject.infer(model.request(arrays, form)) for form in ("raw", "typed"))
    expected, came = outputs_of(raw), outputs_of(typed)
    for name, array in expected.items():
        broken_if(typed, name not in came or not tensor_forms.equal(came[name], array), f"the same as raw: {raw.came}")


@must(
    "infer.one-form",
    "An answer holds together: raw contents for all outputs and then no typed ones, sizes as the shapes say",
    "ModelInferResponse.raw_output_contents",
)
def _one_form(subject: Subject) -> None:
    model = subject.typed()
    for form in ("raw", "typed"):
        reply = subject.infer(model.request(model.arrays(), form))
        outputs_of(reply)
        typed = [output.name for output in reply.ok().outputs if output.contents.ListFields()]
        broken_if(reply, reply.ok().raw_output_contents and typed, "raw contents or typed ones, not both")


@convention("infer.raw-for-raw", "Who asks raw is answered raw", "Triton's and MLServer's way; clients must read both")
def _raw_for_raw(subject: Subject) -> None:
    reply = subject.infer(subject.main.request(subject.main.arrays()))
    broken_if(reply, not reply.ok().raw_output_contents, "raw_output_contents")


@convention("infer.typed-for-typed", "Who asks typed is answered typed", "MLServer's way; clients must read both")
def _typed_for_typed(subject: Subject) -> None:
    model = subject.typed()
    reply = subject.infer(model.request(model.arrays(), "typed"))
    broken_if(reply, reply.ok().raw_output_contents, "contents in each output")


@must("infer.id", "The id comes back unchanged", "ModelInferRequest.id")
def _echoed_id(subject: Subject) -> None:
    for one in IDS:
        reply = subject.infer(subject.main.request(subject.main.arrays(), request_id=one))
        broken_if(reply, reply.ok().id != one, f"id: {one[:40]!r}")


@must("infer.id-of-any-text", "An id that is not ASCII comes back too", "ModelInferRequest.id: a string is UTF-8")
def _id_of_any_text(subject: Subject) -> None:
    reply = subject.infer(subject.main.request(subject.main.arrays(), request_id=ID_OF_ANY_TEXT))
    broken_if(reply, reply.ok().id != ID_OF_ANY_TEXT, f"id: {ID_OF_ANY_TEXT!r}")


@convention("infer.no-id", "Without an id in the request there is none in the answer", "ModelInferResponse.id")
def _no_id(subject: Subject) -> None:
    reply = subject.infer(subject.main.request(subject.main.arrays()))
    broken_if(reply, reply.ok().id, "no id")


@must("infer.model-name", "An answer names the model", "ModelInferResponse.model_name")
def _model_name(subject: Subject) -> None:
    reply = subject.infer(subject.main.request(subject.main.arrays()))
    broken_if(reply, reply.ok().model_name != subject.main.name, f"model_name: {subject.main.name!r}")


@must("infer.version", "An answer names the version, that asked for if one was", "ModelInferResponse.model_version")
def _version(subject: Subject) -> None:
    for asked in ("", *versions_of(subject)):
        reply = subject.infer(subject.main.request(subject.main.arrays(), model_version=asked))
        right = (asked,) if asked else subject.versions
        broken_if(reply, reply.ok().model_version not in right, f"model_version: one of {', '.join(right)}")


@must("infer.all-outputs", "Without requested outputs, all come", "ModelInferRequest.outputs")
def _all_outputs(subject: Subject) -> None:
    model = subject.with_several_inputs()
    _expect_outputs(subject.infer(model.request(model.arrays())), [spec.name for spec in model.outputs])


@must("infer.outputs", "The requested outputs come, and no others", "ModelInferRequest.outputs")
def _requested_outputs(subject: Subject) -> None:
    model = subject.with_several_inputs()
    for spec in model.outputs:
        request = model.request(model.arrays())
        request.outputs.add(name=spec.name)
        _expect_outputs(subject.infer(request), [spec.name])


@must("infer.order-of-inputs", "Inputs are told apart by name, in any order; raw contents follow theirs", RAW)
def _order_of_inputs(subject: Subject) -> None:
    model = subject.with_several_inputs()
    arrays = model.arrays(seed=5)
    reply = subject.infer(model.request(dict(reversed(arrays.items()))))
    expect_equal(reply, model, arrays)


@must(
    "infer.rows", "As many rows come back as were sent, for 1, 2 and 17", "ModelMetadataResponse: -1 is variable-size"
)
def _rows(subject: Subject) -> None:
    model = _with_rows(subject)
    for count in (1, 2, MANY_ROWS):
        arrays = model.arrays(rows=count, seed=count)
        expect_equal(subject.infer(model.request(arrays)), model, arrays)


@convention(
    "infer.no-rows", "No rows give no rows, or are refused as the request's mistake", "The specification is silent"
)
def _no_rows(subject: Subject) -> None:
    model = _with_rows(subject)
    arrays = model.arrays(rows=0)
    reply = subject.infer(model.request(arrays))
    if reply.message is not None:
        expect_equal(reply, model, arrays)
    broken_if(reply, reply.message is None and reply.code.name != "INVALID_ARGUMENT", "no rows, or INVALID_ARGUMENT")


@convention("infer.not-finite", "NaN and infinities come back", "The specification is silent; IEEE 754 has them")
def _not_finite(subject: Subject) -> None:
    model = subject.with_datatype("FP32")
    arrays = model.arrays()
    for spec in model.inputs:
        if spec.datatype == "FP32":
            size = arrays[spec.name].size
            arrays[spec.name] = np.resize(np.array([math.nan, math.inf, -math.inf], np.float32), size).reshape(
                arrays[spec.name].shape
            )
    for form in ("raw", "typed") if model.has_typed_form else ("raw",):
        expect_equal(subject.infer(model.request(arrays, form)), model, arrays)


@convention("infer.bytes-not-text", "BYTES that are no UTF-8 text come back", "The specification names no encoding")
def _bytes_not_text(subject: Subject) -> None:
    model = subject.with_datatype("BYTES")
    arrays = model.arrays()
    for spec in model.inputs:
        if spec.datatype == "BYTES":
            arrays[spec.name].reshape(-1)[0] = b"\xff\x00\xfe"
    expect_equal(subject.infer(model.request(arrays)), model, arrays)


@convention("infer.parameters", "Unknown parameters are ignored", "inference_grpc.md, Parameters: none are defined")
def _parameters(subject: Subject) -> None:
    arrays = subject.main.arrays()
    request = subject.main.request(arrays)
    request.parameters["conformance_unknown"].string_param = "x"
    request.inputs[0].parameters["conformance_unknown"].int64_param = 1
    expect_equal(subject.infer(request), subject.main, arrays)


def _with_rows(subject: Subject) -> IdentityModel:
    if not subject.main.takes_rows:
        raise NotTried("axis 0 of the model's inputs is not free")
    return subject.main


def _expect_outputs(reply: InferReply, names: list[str]) -> None:
    came = [output.name for output in reply.ok().outputs]
    broken_if(reply, sorted(came) != sorted(names), f"the outputs {', '.join(names)}")


_TYPED: tuple[str, ...] = tuple(name for name, datatype in DATATYPES.items() if datatype.field)

CHECKS: tuple[Check[Subject], ...] = (
    *(_round_trip(datatype, "raw") for datatype in DATATYPES),
    *(_round_trip(datatype, "typed") for datatype in _TYPED),
    _raw_equals_typed,
    _one_form,
    _raw_for_raw,
    _typed_for_typed,
    _echoed_id,
    _id_of_any_text,
    _no_id,
    _model_name,
    _version,
    _all_outputs,
    _requested_outputs,
    _order_of_inputs,
    _rows,
    _no_rows,
    _not_finite,
    _bytes_not_text,
    _parameters,
)
