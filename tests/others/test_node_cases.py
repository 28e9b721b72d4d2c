"""Models that other people made are answered as onnxruntime answers in-process; `make others` asks all of them."""

import pytest

from serving.rpc.transport import CAPABILITIES
from tests.others.answers import CannotLoad, CannotRun, run_in_process
from tests.others.asking import ask
from tests.others.node_cases import node_cases_of, question, why_not, with_free_rows

MODULES = ["cumsum", "nonzero", "optionalhaselement", "rangeop", "reshape", "string_concat"]
"""Zero-size axes, text, scalars, BF16, outputs of other rows, rows that depend on each other, sequences."""


def answered(questions):
    expected = []
    for one in questions:
        try:
            expected.append((one, run_in_process(one)))
        except (CannotLoad, CannotRun):
            continue  # onnxruntime has not each operator for each type
    return expected


@pytest.fixture(scope="module")
def cases():
    return [case for case in node_cases_of(MODULES) if not why_not(case)]


@pytest.mark.parametrize("transport", sorted(CAPABILITIES))
def test_one_operator_models_give_the_same_bytes_as_in_process(cases, transport):
    expected = answered(map(question, cases))
    assert len(expected) > len(MODULES)
    assert [(one.name, reason) for one, reason, _ in ask(expected, transport) if reason] == []


@pytest.mark.parametrize("transport", sorted(CAPABILITIES))
def test_with_free_rows_each_of_several_callers_gets_the_answer_that_it_gets_alone(cases, transport):
    asked = list(ask(answered(filter(None, map(with_free_rows, cases))), transport, callers=4))
    assert any(batched for _, _, batched in asked)
    assert [(one.name, reason) for one, reason, _ in asked if reason] == []
