"""PredictStream is Predict many times, in order, on one stream that outlives every bad request."""

import queue

import grpc
import pytest

from protos.signet.v1.prediction_pb2 import PredictRequest, PredictStreamRequest, PredictStreamResponse
from tests.contract.requests import letters, status_of, sums


def streamed(*requests: PredictRequest) -> list[PredictStreamRequest]:
    return [PredictStreamRequest(request=one) for one in requests]


def good(request_id: str) -> PredictRequest:
    return letters([[0, 9, 0]], id=request_id)


def test_answers_come_in_the_order_of_the_requests_with_their_ids(signet):
    requests = [good(str(n)) if n % 2 else sums({"a": 1, "b": n, "c": 0}, id=str(n)) for n in range(200)]
    answers = list(signet.prediction.PredictStream(iter(streamed(*requests))))
    assert [answer.id for answer in answers] == [str(n) for n in range(200)]
    assert [answer.response.model for answer in answers] == ["sums", "letters"] * 100


def test_an_answer_is_the_one_that_predict_gives(signet):
    request = letters([[1, 3, 2], [9, 0, 0]], id="same", top_k=2, return_scores=True, return_outputs=True)
    (answer,) = signet.prediction.PredictStream(iter(streamed(request)))
    assert answer.response == signet.prediction.Predict(request)


@pytest.mark.parametrize(
    ("wrong", "code", "text"),
    [
        (letters([[9, 0]], id="wrong"), grpc.StatusCode.INVALID_ARGUMENT, "input x: shape [1, 2] came; [-1, 3] was"),
        (PredictRequest(model="nobody", id="wrong"), grpc.StatusCode.NOT_FOUND, "no model named nobody"),
        (
            PredictRequest(model="corrupt", id="wrong"),
            grpc.StatusCode.FAILED_PRECONDITION,
            "failed to load: model.onnx",
        ),
    ],
    ids=["wrong shape", "unknown model", "failed model"],
)
def test_a_request_that_fails_is_answered_by_its_error_and_the_others_go_on(signet, wrong, code, text):
    requests = streamed(good("first"), wrong, good("last"))
    first, failed, last = signet.prediction.PredictStream(iter(requests))
    assert [first.response.predictions[0].label, last.response.predictions[0].label] == ["b", "b"]
    assert (failed.id, failed.error.code) == ("wrong", code.value[0])
    assert text in failed.error.message
    assert status_of(signet.prediction.Predict, wrong) == (code, failed.error.message)


def test_bytes_that_are_no_message_fail_alone(signet):
    stream = signet.channel.stream_stream("/signet.v1.Prediction/PredictStream")
    answers = stream(iter([b"\xff\xff", PredictStreamRequest(request=good("good")).SerializeToString()]))
    failed, answered = map(PredictStreamResponse.FromString, answers)
    assert failed.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert failed.error.message == "the 2 bytes that came are no signet.v1.PredictStreamRequest message"
    assert answered.response.id == "good"


def test_a_stream_without_requests_ends_without_answers(signet):
    assert list(signet.prediction.PredictStream(iter([]))) == []


def test_a_stream_answers_before_it_ends(signet):
    more: queue.SimpleQueue[PredictStreamRequest | None] = queue.SimpleQueue()
    stream = signet.prediction.PredictStream(iter(more.get, None))
    for n in range(3):
        more.put(PredictStreamRequest(request=good(str(n))))
        assert next(stream).id == str(n)
    more.put(None)
    assert list(stream) == []


def test_a_caller_who_cancels_a_stream_leaves_the_server_as_it_was(signet):
    more: queue.SimpleQueue[PredictStreamRequest | None] = queue.SimpleQueue()
    stream = signet.prediction.PredictStream(iter(more.get, None))
    more.put(PredictStreamRequest(request=good("one")))
    assert next(stream).id == "one"
    stream.cancel()
    more.put(None)
    assert signet.prediction.Predict(good("two")).id == "two"
