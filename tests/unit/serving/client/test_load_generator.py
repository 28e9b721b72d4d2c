"""The generator and its questions against a server that does what the test says."""

import threading

import grpc
import numpy as np
import pytest

from protos.signet.v1.prediction_pb2 import PredictResponse, RowPrediction
from serving.client import Client
from serving.client.answers import RowPrediction as Row
from serving.client.connection import Connection
from serving.client.load.generator import RIGHT, UNCHECKED, WRONG, Generator
from serving.client.load.plan import Arrivals, Kind, Step
from serving.client.load.questions import DISTINCT_ROWS, Question, prepare
from tests.scripted_server import answers, fails, scripted_server

BEFORE_THE_LOAD = 2 * DISTINCT_ROWS
"""Predicts that `prepare` makes of a model that is not batched: each row alone, then each question."""


def one_step(script, calls, *, rate=200.0, deadline_seconds=5.0, connections=1):
    """The record of so many evenly spaced calls of one row, after their answers were learnt."""
    kind = Kind("tiny", 1, 1.0)
    with Client(script.address) as client:
        questions = prepare(client, [kind], None, 1e-4, np.random.default_rng(1))
    plan = (Step(rate, calls / rate), Arrivals(np.arange(calls) / rate, np.zeros(calls, np.int64)))
    generator = Generator(
        Connection(script.address, connections=connections),
        questions,
        deadline_seconds=deadline_seconds,
        on_progress=lambda *_: None,
    )
    records, finished = generator.run([plan])
    assert finished
    return records[0]


def says(**fields):
    def step(context):  # noqa: ARG001 - a Step
        return PredictResponse(model="tiny", **fields)

    return step


def test_every_call_is_made_and_its_answer_is_right():
    with scripted_server() as script:
        record = one_step(script, 40, connections=3)
        assert len(script.requests) == BEFORE_THE_LOAD + 40
    assert (record.status == 0).all()
    assert (record.verdict == RIGHT).all()
    assert (record.latency > 0).all()


def test_an_answer_that_differs_from_the_one_before_the_load_is_wrong_and_shown():
    other = says(version=1, predictions=[RowPrediction(label="b", score=0.5)])
    with scripted_server(*[answers] * BEFORE_THE_LOAD, other) as script:
        record = one_step(script, 10)
    assert (record.verdict == WRONG).all()
    assert record.wrong_examples[0] == "model tiny: 1 predictions came for 1 rows"


def test_an_answer_of_another_version_has_nothing_to_be_compared_with():
    with scripted_server(*[answers] * BEFORE_THE_LOAD, says(version=2)) as script:
        assert (one_step(script, 10).verdict == UNCHECKED).all()


def test_a_refusal_is_not_tried_again():
    refusal = fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", pushback_ms="1")
    with scripted_server(*[answers] * BEFORE_THE_LOAD, refusal) as script:
        record = one_step(script, 10)
        assert len(script.requests) == BEFORE_THE_LOAD + 10
    assert (record.status == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]).all()
    assert record.examples == {"RESOURCE_EXHAUSTED": "full"}


def test_a_server_that_takes_its_time_does_not_slow_the_sender_and_is_felt_by_the_calls_behind():
    stall = threading.Event()

    def stalls(context):
        stall.wait(0.1)
        return answers(context)

    # The server's four threads carry 40 calls a second: the last of 40 sent in 0.2 s is through after a second.
    with scripted_server(*[answers] * BEFORE_THE_LOAD, stalls) as script:
        record = one_step(script, 40)
    assert np.max(record.latency) > 0.5
    assert np.max(record.late) < 0.5


def test_what_is_not_answered_in_time_ends_at_its_deadline():
    def never(context):
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(30)
        return answers(context)

    with scripted_server(*[answers] * BEFORE_THE_LOAD, never) as script:
        record = one_step(script, 4, deadline_seconds=0.2)
    assert (record.status == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]).all()
    assert record.latency.max() < 5


def question(score=0.9, tolerance=0.01):
    return Question("m", 1, b"", 1, (Row("a", 0, score),), {}, tolerance)


def answer(label="a", score=0.9, version=1):
    rows = [RowPrediction(label=label, class_index=0, score=score)]
    return PredictResponse(model="m", version=version, predictions=rows).SerializeToString()


def test_a_score_within_the_tolerance_is_right():
    assert question().fault(answer(score=0.905)) == ""


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (answer(score=0.92), "model m: row 0 of 1: a 0.92 came; a 0.9 was expected"),
        (answer(score=float("nan")), "model m: row 0 of 1: a nan came; a 0.9 was expected"),
        (answer(label="b"), "model m: row 0 of 1: b 0.9 came; a 0.9 was expected"),
        (b"\xff\xff", "the 2 bytes that the server sent are no signet.v1.PredictResponse message"),
    ],
    ids=["score", "NaN", "label", "no message"],
)
def test_any_other_answer_is_told_with_what_was_expected(data, text):
    assert question().fault(data) == text


def test_an_answer_is_judged_the_same_the_second_time():
    asked = question()
    assert [asked.fault(answer()), asked.fault(answer())] == ["", ""]
    assert asked.fault(answer(label="b")) == asked.fault(answer(label="b")) != ""
