"""A client that takes its answers slowly holds the memory of its own answers, and nobody else's time."""

from tests.faults.conftest import WIDTH, wide_request
from tests.raw_http2 import DATA, RawConnection

PREDICT = "/signet.v1.Prediction/Predict"
CALLS = 32
ROWS = 16
ANSWERS_MIB = CALLS * ROWS * WIDTH * 4 / 2**20
COPIES = 4
"""Of each answer that waits for its reader: three in grpc.aio, one in the native front."""

SPARE_MIB = 112.0
"""What the allocator may keep for later, less than the answers: of two lanes, the outputs of two full runs each, 64
MiB, and some to spare (up to 67 was seen)."""


def test_a_reader_that_is_slow_holds_its_answers_and_gives_them_back_when_it_goes(served):
    assert len(served.prediction.Predict(wide_request(ROWS)).outputs[0].raw) == ROWS * WIDTH * 4
    before = served.figures().resident_mib
    slow = RawConnection(served.port, window_bytes=1)
    streams = {slow.call(PREDICT, wide_request(ROWS).SerializeToString()) for _ in range(CALLS)}
    answered = (stream for kind, _, stream, payload in slow.frames() if kind == DATA and payload)
    while streams:
        streams.discard(next(answered))
    assert served.answers()
    assert served.figures().resident_mib - before < COPIES * ANSWERS_MIB + SPARE_MIB
    slow.reset()
    assert served.eventually(lambda now: now.resident_mib - before < SPARE_MIB)
