"""A client that connects and then does nothing good costs others nothing."""

import socket
from contextlib import ExitStack

import pytest

from protos.signet.v1.prediction_pb2 import PredictStreamRequest
from serving.server import Server
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import letters
from tests.raw_http2 import PREFACE, SETTINGS, RawConnection
from tests.running_server import running_server

SECONDS = 30.0
IDLE_CONNECTIONS = 1000
IDLE_CONNECTION_KIB = 64
"""Resident memory of one; about 15 were measured."""

CANCELLED_AT_ONCE = 100

STREAM = "/signet.v1.Prediction/PredictStream"


@pytest.mark.parametrize(
    "sent",
    [b"", PREFACE[:12], b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ids=["nothing", "half a preface", "HTTP/1.1"],
)
def test_a_client_that_does_not_speak_costs_a_descriptor_until_it_goes(served, sent):
    before = served.figures().descriptors
    with socket.create_connection(("127.0.0.1", served.port), SECONDS) as silent:
        silent.sendall(sent)
        assert served.answers()
    assert served.eventually(lambda now: now.descriptors <= before)


def test_a_client_that_speaks_another_protocol_is_turned_away(served):
    with socket.create_connection(("127.0.0.1", served.port), SECONDS) as other:
        other.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ended(other)


def test_a_thousand_idle_connections_cost_little_and_go_away(served):
    before = served.figures()
    with ExitStack() as stack:
        idle = [stack.enter_context(RawConnection(served.port)) for _ in range(IDLE_CONNECTIONS)]
        for one in idle:
            assert any(kind == SETTINGS for kind, *_ in one.frames())
        assert served.answers()
        during = served.figures()
    assert during.descriptors > IDLE_CONNECTIONS
    assert during.threads <= before.threads + 2
    assert during.resident_mib - before.resident_mib < IDLE_CONNECTIONS * IDLE_CONNECTION_KIB / 1024
    assert served.eventually(lambda now: now.descriptors <= before.descriptors)


@pytest.mark.parametrize("breaks", ["channel closed", "connection reset"])
def test_a_stream_broken_in_the_middle_takes_its_calls_along_and_no_others(tmp_path, breaks):
    tiny.put_bare(tmp_path, "slow", tiny.slow_model())
    tiny.put_bare(tmp_path, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    slow = PredictStreamRequest(request=tiny.slow_request())
    with running_server(tmp_path, max_batch_rows=1) as server:
        others = connect(server)
        if breaks == "channel closed":
            leaving = connect(server)
            stream = leaving.prediction.PredictStream(iter([slow] * 64))
            next(stream)
            leaving.channel.close()
        else:
            raw = RawConnection(server.port)
            raw.call(STREAM, *[slow.SerializeToString()] * 64)
            others.prediction.Predict(tiny.slow_request(), timeout=SECONDS)
            raw.reset()
        assert others.prediction.Predict(letters([[0, 9, 0]]), timeout=SECONDS).predictions[0].label == "b"
        assert others.prediction.Predict(tiny.slow_request(), timeout=SECONDS).outputs
        assert figure(server, "signet_rows_total") < 64
        assert figure(server, "signet_queue_rows") == 0
        others.channel.close()


def test_a_client_that_cancels_before_calls_begin_is_served_on_or_sent_away_and_others_are_answered(served, transport):
    with RawConnection(served.port) as hasty:
        hasty.cancelled_calls(STREAM, CANCELLED_AT_ONCE)
        if transport == "native":
            assert ended(hasty.socket)
        assert served.answers()


def figure(server: Server, name: str) -> float:
    """A metric of `slow`."""
    return server.metrics.registry.get_sample_value(name, {"model": "slow", "version": "1"}) or 0.0


def ended(connection: socket.socket) -> bool:
    """Whether the other side ends the connection, well or by a reset."""
    try:
        while connection.recv(4096):
            continue
    except ConnectionResetError:
        return True
    return True
