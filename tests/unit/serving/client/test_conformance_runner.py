"""The checks of `signet conformance`: each broken promise is noticed, and none stops the others."""

import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from protos.inference import metadata_pb2
from protos.inference.tensors_pb2 import ModelInferResponse
from serving.client.conformance.runner import CHECKS, examine
from serving.client.connection import Connection
from serving.errors import Unavailable
from tests.identity_server import identity_server

ROOT = Path(__file__).parents[4]
SECONDS = 10.0


def results_of(address, models=("identity",), seconds=SECONDS):
    return {one.name: one for one in examine(Connection(address), models, seconds)}


def unmet(results):
    return {name for name, one in results.items() if one.outcome in {"fail", "differs"}}


def changed(**fields):
    """A fault that sets fields of each answer."""

    def fault(_, answer):
        for name, value in fields.items():
            setattr(answer, name, value)
        return answer

    return fault


def other_values(_, answer):
    if answer.raw_output_contents:
        answer.raw_output_contents[0] = bytes(len(answer.raw_output_contents[0]))
    else:
        answer.outputs[0].contents.fp32_contents[:] = [0.0] * len(answer.outputs[0].contents.fp32_contents)
    return answer


def all_outputs(request, answer):
    """Whatever was asked for."""
    if request.outputs and len(answer.outputs) == 1:
        answer.outputs.add(name="more", datatype="FP32", shape=[0])
        answer.raw_output_contents.append(b"")
    return answer


def both_forms(_, answer):
    for output in answer.outputs:
        if output.datatype == "FP32":
            output.contents.fp32_contents.append(1.0)
    return answer


def rows_lost(_, answer):
    if answer.raw_output_contents and answer.outputs[0].shape[0] > 2:
        answer.outputs[0].shape[0] -= 1
    return answer


def by_position(request, answer):
    """Outputs in the order of the inputs, under the names of the metadata."""
    if len(answer.outputs) == 2 and request.inputs[0].name == "b":
        answer.outputs[0].name, answer.outputs[1].name = "a_out", "b_out"
    return answer


def one_id_for_all():
    first = []

    def fault(request, answer):
        if request.id.startswith("call "):
            first.append(request.id)
            answer.id = first[0]
        return answer

    return fault


def test_a_server_that_keeps_its_promises_passes_though_it_has_one_status_for_all_mistakes():
    with identity_server() as address:
        results = results_of(address)
    assert {name: results[name].outcome for name in unmet(results)} == {"refusals.not-found": "differs"}
    assert {one.reason for name, one in results.items() if name.startswith("extensions.")} >= {
        "the server has no ModelStreamInfer",
        "the server has no ModelConfig",
    }


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (changed(id="x"), "infer.id"),
        (changed(model_name="other"), "infer.model-name"),
        (changed(model_version="7", id=""), "infer.id"),
        (other_values, "infer.order-of-inputs"),
        (other_values, "datatypes.raw.fp32"),
        (other_values, "datatypes.typed.fp32"),
        (all_outputs, "infer.outputs"),
        (both_forms, "infer.one-form"),
        (rows_lost, "infer.rows"),
        (by_position, "infer.order-of-inputs"),
        (one_id_for_all(), "limits.parallel"),
        (lambda _, __: b"\xff\xff", "datatypes.raw.int64"),
        (lambda _, __: b"", "infer.all-outputs"),
    ],
    ids=[
        "another id",
        "another model",
        "no id",
        "other values, sent in another order",
        "other values, raw",
        "other values, typed",
        "more outputs than asked for",
        "raw and typed at once",
        "a shape with a row less",
        "inputs taken by position",
        "the first caller's id for all",
        "bytes that are no message",
        "an empty answer",
    ],
)
def test_an_answer_that_is_wrong_fails_the_check_of_it_and_leaves_the_others_tried(fault, name):
    with identity_server(fault) as address:
        results = results_of(address)
    assert results[name].outcome == "fail"
    assert len(results) == len(CHECKS)
    assert results["server.live"].outcome == "pass"


@pytest.mark.parametrize(
    ("methods", "name"),
    [
        ({"ServerLive": lambda _: metadata_pb2.ServerLiveResponse()}, "server.live"),
        ({"ServerReady": lambda _: metadata_pb2.ServerReadyResponse()}, "server.ready"),
        ({"ServerMetadata": lambda _: metadata_pb2.ServerMetadataResponse(name="x")}, "server.metadata"),
        (
            {
                "ServerMetadata": lambda _: metadata_pb2.ServerMetadataResponse(
                    name="x", version="1", extensions=["statistics"]
                )
            },
            "server.extensions",
        ),
        ({"ModelReady": lambda _: metadata_pb2.ModelReadyResponse(ready=True)}, "model.ready.unknown-model"),
        ({"ModelReady": lambda _: metadata_pb2.ModelReadyResponse()}, "model.ready"),
        ({"ModelMetadata": lambda _: metadata_pb2.ModelMetadataResponse(name="x")}, "model.metadata.name"),
        ({"ModelMetadata": lambda _: metadata_pb2.ModelMetadataResponse(name="x")}, "model.metadata.tensors"),
        ({"ModelMetadata": lambda _: metadata_pb2.ModelMetadataResponse(name="x")}, "model.metadata.unknown-model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_word_about_server_or_model_fails_the_check_of_it(methods, name):
    with identity_server(**methods) as address:
        assert results_of(address)[name].outcome == "fail"


def test_a_server_that_takes_everything_fails_each_refusal_that_is_a_must():
    def takes_all(request):
        raw = request.raw_input_contents
        echoed = ModelInferResponse(model_name=request.model_name, raw_output_contents=raw)
        for tensor in request.inputs:
            echoed.outputs.add(
                name=f"{tensor.name}_out", datatype=tensor.datatype, shape=tensor.shape, contents=tensor.contents
            )
        return echoed

    with identity_server(ModelInfer=takes_all) as address:
        results = results_of(address)
    refusals = [one for name, one in results.items() if name.startswith("refusals.") and one.outcome != "skip"]
    musts = {one.outcome for one in refusals if one.severity == "must"}
    assert musts == {"fail"}
    assert {one.outcome for one in refusals if one.severity == "convention"} <= {"differs", "pass"}
    assert results["refusals.extra-input"].outcome == "differs"


def test_what_was_not_met_says_what_was_sent_what_came_and_what_was_expected():
    with identity_server(changed(id="x")) as address:
        result = results_of(address)["infer.id"]
    assert 'id: "42"' in result.sent
    assert 'id: "x"' in result.came
    assert result.expected == "id: '42'"


def test_without_an_identity_model_what_needs_one_is_not_tried_and_says_why():
    with identity_server() as address:
        results = results_of(address, models=("other",))
    assert results["model.ready"].outcome == "fail"
    assert results["infer.id"].reason == "by its metadata, 'other' is no identity model"


def test_a_server_that_falls_silent_costs_each_check_its_own_time_alone():
    over = threading.Event()

    def silent(request, answer):
        if request.id:
            over.wait(60)
        return answer

    with identity_server(silent) as address:
        try:
            results = results_of(address, seconds=1.0)
        finally:
            over.set()
    assert results["infer.id"].came.startswith("DEADLINE_EXCEEDED")
    assert max(one.seconds for one in results.values()) < 10
    assert results["infer.model-name"].outcome == "pass"


def test_nobody_there_is_one_clear_error():
    with identity_server() as address:
        pass
    with pytest.raises(Unavailable, match=rf"{address}: no gRPC server answers within 0.2 s"):
        results_of(address, seconds=0.2)


def test_every_check_has_its_own_name_a_promise_and_a_source():
    assert [name for name, count in Counter(check.name for check in CHECKS).items() if count > 1] == []
    assert [check.name for check in CHECKS if not check.promise or not check.source] == []


def test_the_readmes_table_tells_of_checks_that_there_are():
    readme = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"<!-- conformance: .*? -->\n(.*?)<!-- end of conformance -->", readme, re.DOTALL)
    assert found
    promises = dict(re.findall(r"^\| `([\w.-]+)`: (.*?) \| (?:must|convention) ", found[1], re.MULTILINE))
    known = {check.name: check.promise for check in CHECKS}
    assert promises
    assert {name: known.get(name) for name in promises} == promises
