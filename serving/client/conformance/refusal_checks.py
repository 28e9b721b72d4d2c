"""Promises about requests that are wrong: each is refused, and how.

The specification says what a request must be and that errors are statuses other than OK; it names no status. So OK
breaks a promise, and the status is a convention.
"""

from collections.abc import Callable
from typing import Any

from serving.client.conformance import mistakes
from serving.client.conformance.check import BrokenPromise, Check, NotTried, convention, must
from serving.client.conformance.server_checks import UNKNOWN_MODEL, UNKNOWN_VERSION
from serving.client.conformance.subject import Subject, broken_if
from serving.client.conformance.target import Reply

RAW = "ModelInferRequest.raw_input_contents"
TYPED = "InferTensorContents: the size must match"
SILENT = "The specification is silent on what to do"

_MUST_REFUSE: tuple[tuple[str, mistakes.Spoilt, str, str], ...] = (
    ("unknown-model", mistakes.unknown_model, "A model that is not there", "inference_grpc.md, Inference"),
    ("unknown-version", mistakes.unknown_version, "A version that is not there", "ModelInferRequest.model_version"),
    ("missing-input", mistakes.missing_input, "An input that is missing", "inference_rest.md, Model Metadata: inputs"),
    ("unknown-output", mistakes.unknown_output, "An output that the model has not", "ModelInferRequest.outputs"),
    ("undefined-datatype", mistakes.undefined_datatype, "A datatype that there is not", "Tensor Data Types"),
    (
        "negative-dimensions",
        mistakes.negative_dimensions,
        "Negative lengths",
        "inference_rest.md, Request Input: shape",
    ),
    ("overflowing-shape", mistakes.overflowing_shape, "A shape of 2^64 elements without contents", RAW),
    ("raw-too-short", mistakes.raw_too_short, "Raw contents one byte short", RAW),
    ("raw-too-long", mistakes.raw_too_long, "Raw contents of twice the size", RAW),
    ("raw-entry-missing", mistakes.raw_entry_missing, "Raw contents of all inputs but one", RAW),
    ("raw-entry-too-many", mistakes.raw_entry_too_many, "Raw contents of one input too many", RAW),
    ("raw-and-typed", mistakes.raw_and_typed, "Raw and typed contents at once", RAW),
    ("typed-too-few", mistakes.typed_too_few, "One typed element too few", TYPED),
    ("typed-too-many", mistakes.typed_too_many, "One typed element too many", TYPED),
    ("typed-in-another-list", mistakes.typed_in_another_list, "Values in another datatype's list", TYPED),
    ("fp16-typed", mistakes.fp16_typed, "FP16 in typed contents", RAW),
    ("bytes-cut-off", mistakes.bytes_cut_off, "A last element of BYTES cut off", RAW),
)

_USUALLY_REFUSED: tuple[tuple[str, mistakes.Spoilt, str], ...] = (
    ("extra-input", mistakes.extra_input, "An input that the model has not"),
    ("input-twice", mistakes.input_twice, "The same input twice"),
    ("wrong-datatype", mistakes.wrong_datatype, "A datatype that is not the input's"),
    ("wrong-shape", mistakes.wrong_shape, "A shape that is not the input's"),
)

_NOT_FOUND = frozenset({"unknown-model", "unknown-version"})


def _refuses(spoil: mistakes.Spoilt) -> Callable[[Subject], None]:
    def attempt(subject: Subject) -> None:
        # A server that refuses everything has not seen the mistake, and one that fell over it has not refused it.
        subject.expect_answer(subject.main)
        subject.infer(spoil(subject)).refused("an error")
        subject.expect_answer(subject.main)

    return attempt


@convention("refusals.not-found", "What is not there is NOT_FOUND", "gRPC's status codes; the specification is silent")
def _not_found(subject: Subject) -> None:
    _expect_not_found(subject.metadata(UNKNOWN_MODEL))
    _expect_not_found(subject.infer(mistakes.unknown_model(subject)))
    if subject.versions:
        _expect_not_found(subject.metadata(subject.name, UNKNOWN_VERSION))
        _expect_not_found(subject.infer(mistakes.unknown_version(subject)))


def _expect_not_found(reply: Reply[Any]) -> None:
    broken_if(reply, reply.code.name != "NOT_FOUND", "NOT_FOUND")


@convention(
    "refusals.invalid-argument",
    "A mistake in the request is INVALID_ARGUMENT",
    "gRPC's status codes; the specification is silent",
)
def _invalid_argument(subject: Subject) -> None:
    others: list[tuple[str, BrokenPromise]] = []
    spoilers = {name: spoil for name, spoil, *_ in _MUST_REFUSE if name not in _NOT_FOUND}
    for name, spoil in spoilers.items():
        try:
            reply = subject.infer(spoil(subject))
        except NotTried:
            continue
        if reply.message is None and reply.code.name != "INVALID_ARGUMENT":
            others.append((f"{name}: {reply.code.name}", reply.broken("INVALID_ARGUMENT")))
    if others:
        first = others[0][1]
        raise BrokenPromise(first.sent, f"{first.came}; in all {', '.join(name for name, _ in others)}", first.expected)


@convention("refusals.text", "An error has a text", "gRPC; the specification is silent")
def _has_text(subject: Subject) -> None:
    for reply in (subject.infer(mistakes.unknown_model(subject)), subject.infer(mistakes.raw_too_short(subject))):
        broken_if(reply, reply.message is None and not reply.text.strip(), "a text")


CHECKS: tuple[Check[Subject], ...] = (
    *(
        must(f"refusals.{name}", f"Refused: {promise[0].lower()}{promise[1:]}", source)(_refuses(spoil))
        for name, spoil, promise, source in _MUST_REFUSE
    ),
    *(
        convention(f"refusals.{name}", f"Refused: {promise[0].lower()}{promise[1:]}", SILENT)(_refuses(spoil))
        for name, spoil, promise in _USUALLY_REFUSED
    ),
    _not_found,
    _invalid_argument,
    _has_text,
)
