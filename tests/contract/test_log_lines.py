"""The log of `signet-serve`: lines that machines read, on requests and models, and never on what was in them."""

import json
import signal

import grpc
import pytest

from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.contract.requests import letters, status_of
from tests.contract.serving_process import serving

SECRET = 4.25e11


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """What is logged after the start: for one good request, one bad one, and the stop."""
    root = tmp_path_factory.mktemp("logs")
    tiny.put_bare(root, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    flags = ("--log-format", "json", "--access-log", "all", "--max-batch-rows", "1")
    with serving(root, *flags) as (process, port), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = PredictionStub(channel)
        stub.Predict(letters([[SECRET, 0, 0]], id="first"))
        status_of(stub.Predict, letters([[SECRET, 0]]))
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=30)
    return logged.splitlines()


@pytest.fixture
def requests(lines):
    return [line for line in map(json.loads, lines) if line["event"] == "request"]


def test_each_line_is_an_object_with_event_level_and_time(lines):
    assert lines
    for line in map(json.loads, lines):
        assert {"event", "level", "timestamp"} <= line.keys()


def test_a_request_is_a_line_with_its_model_status_and_time(requests):
    answered, _ = requests
    assert answered.pop("seconds") > 0
    assert answered.items() >= {"method": "Predict", "model": "letters", "version": "1", "code": "OK"}.items()
    assert "error" not in answered


def test_a_refusal_says_what_the_caller_was_told(requests):
    _, refused = requests
    assert (refused["code"], refused["error"]) == (
        "INVALID_ARGUMENT",
        "input x: shape [1, 2] came; [-1, 3] was expected",
    )


def test_what_callers_sent_is_not_logged(lines):
    assert str(SECRET) not in "".join(lines)


def test_a_request_goes_by_its_id_and_one_without_gets_one(requests):
    answered, refused = requests
    assert answered["request_id"] == "first"
    assert refused["request_id"] not in {"", "first"}


def test_the_models_go_by_name_at_the_stop(lines):
    states = [line["state"] for line in map(json.loads, lines) if line["event"] == "model"]
    assert states == ["UNLOADING", "GONE"]
