"""The largest message is answered, one byte more is refused in words; calls that nobody waits for are not run."""

import grpc
import numpy as np
import pytest
from onnx import helper

from protos.signet.v1.prediction_pb2 import PredictRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import letters, raw_tensor, status_of
from tests.raw_http2 import END_STREAM, HEADERS, RST_STREAM, RawConnection
from tests.running_server import running_server

MAX_BYTES = 64 * 2**20
PREDICT = "/signet.v1.Prediction/Predict"
SECONDS = 60.0


@pytest.fixture(scope="module")
def large(transport, tmp_path_factory):
    """A server with the default limit, of `mean`: the mean of each row, however wide."""
    models = tmp_path_factory.mktemp("models")
    mean = helper.make_node("ReduceMean", ["x", "axis"], ["y"], keepdims=1)
    axis = {"axis": np.array([1])}
    tiny.put_bare(
        models, "mean", tiny.model_bytes([mean], [tiny.value("x", [None, None])], [tiny.value("y", [None, 1])], axis)
    )
    tiny.put_bare(models, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    with running_server(models, transport=transport) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()


def request_of(size: int) -> bytes:
    """A request for `mean` that is `size` bytes on the wire."""
    row = np.ones((1, (size - 1000) // 4), np.float32)
    request = PredictRequest(model="mean", tensors=[raw_tensor("x", row)], id="x" * 200)
    request.id += "x" * (size - request.ByteSize())
    data = request.SerializeToString()
    assert len(data) == size
    return data


def test_a_message_of_exactly_the_limit_is_answered(large):
    predict = large.channel.unary_unary(PREDICT)
    assert predict(request_of(MAX_BYTES), timeout=SECONDS)


def test_a_message_of_one_byte_more_is_refused_with_both_figures(large):
    code, text = status_of(large.channel.unary_unary(PREDICT), request_of(MAX_BYTES + 1), timeout=SECONDS)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text.removeprefix("SERVER: ") == f"Received message larger than max ({MAX_BYTES + 1} vs. {MAX_BYTES})"


def test_a_stream_that_brings_one_byte_too_many_ends_with_both_figures(large):
    stream = large.channel.stream_stream("/signet.v1.Prediction/PredictStream")
    code, text = status_of(next, stream(iter([request_of(MAX_BYTES + 1)]), timeout=SECONDS))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text == f"SERVER: Received message larger than max ({MAX_BYTES + 1} vs. {MAX_BYTES})"


def test_a_large_message_leaves_the_connection_as_it_was(large):
    status_of(large.channel.unary_unary(PREDICT), request_of(MAX_BYTES + 1), timeout=SECONDS)
    assert large.prediction.Predict(letters([[0, 9, 0]]), timeout=SECONDS).predictions[0].label == "b"


def test_a_call_whose_deadline_was_over_when_it_came_is_not_run(large):
    labels = {"model": "letters", "version": "1"}
    before = large.server.metrics.registry.get_sample_value("signet_rows_total", labels)
    with RawConnection(large.server.port) as late:
        stream = late.call(PREDICT, letters([[0, 9, 0]]).SerializeToString(), timeout="0n")
        ended = (
            kind
            for kind, flags, number, _ in late.frames()
            if number == stream and (kind == RST_STREAM or flags & END_STREAM)
        )
        assert next(ended) in {HEADERS, RST_STREAM}
    assert large.prediction.Predict(letters([[0, 9, 0]]), timeout=SECONDS).predictions[0].label == "b"
    assert large.server.metrics.registry.get_sample_value("signet_rows_total", labels) == before + 1
