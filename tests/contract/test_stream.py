"""PredictStream is Predict many times, in order."""

import queue

from protos.signet.v1.prediction_pb2 import PredictStreamRequest
from tests.contract.requests import letters, sums


def test_answers_come_in_the_order_of_the_requests_with_their_ids(signet):
    requests = [
        PredictStreamRequest(
            request=letters([[9, 0, 0]], id=str(n)) if n % 2 else sums({"a": 1, "b": n, "c": 0}, id=str(n))
        )
        for n in range(200)
    ]
    answers = list(signet.prediction.PredictStream(iter(requests)))
    assert [answer.id for answer in answers] == [str(n) for n in range(200)]
    assert {answer.response.model for answer in answers[1::2]} == {"letters"}


def test_a_request_that_fails_is_answered_by_its_error_and_the_others_go_on(signet):
    rows = [[9, 0, 0]], [[9, 0]], [[0, 9, 0]]
    requests = [PredictStreamRequest(request=letters(one, id=f"r{n}")) for n, one in enumerate(rows)]
    first, wrong, last = signet.prediction.PredictStream(iter(requests))
    assert (first.response.predictions[0].label, last.response.predictions[0].label) == ("a", "b")
    assert (wrong.id, wrong.error.code) == ("r1", 3)
    assert "shape [1, 2] came; [-1, 3] was expected" in wrong.error.message


def test_bytes_that_are_no_message_fail_alone(signet):
    stream = signet.channel.stream_stream(
        "/signet.v1.Prediction/PredictStream", response_deserializer=None, request_serializer=None
    )
    good = PredictStreamRequest(request=letters([[9, 0, 0]], id="good")).SerializeToString()
    answers = list(stream(iter([b"\xff\xff", good])))
    assert b"no signet.v1.PredictStreamRequest message" in answers[0]
    assert b"good" in answers[1]


def test_a_stream_answers_before_it_ends(signet):
    more: queue.SimpleQueue[PredictStreamRequest | None] = queue.SimpleQueue()
    stream = signet.prediction.PredictStream(iter(more.get, None))
    for n in range(3):
        more.put(PredictStreamRequest(request=letters([[9, 0, 0]], id=str(n))))
        assert next(stream).id == str(n)
    more.put(None)
    assert list(stream) == []
