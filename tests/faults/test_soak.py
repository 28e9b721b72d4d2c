"""Half a minute of what `make soak` does for twenty: the server does not grow, and gives each client what it must."""

from tests.load.soak import Soak, soak
from tests.process_figures import ProcessFigures

SECONDS = 20.0


def test_mixed_traffic_is_answered_as_it_must_and_grows_nothing(transport):
    assert soak(transport, SECONDS).complaints == []


def test_a_server_that_grows_is_complained_about():
    samples = [ProcessFigures(100.0 + n, 30, 10) for n in range(20)]
    assert Soak("aio", 1.0, samples, samples[-1], {}, {}).complaints == [
        "resident_mib: 102.0 to 119.0, +16.7%; less than 10% was expected"
    ]


def test_threads_that_traffic_needed_must_be_gone_after_a_rest():
    def left(threads: int) -> list[str]:
        samples = [ProcessFigures(100.0, 30, 12 + n) for n in range(20)]
        return Soak("aio", 1.0, samples, ProcessFigures(100.0, 30, threads), {}, {}).complaints

    assert left(15) == []
    assert left(16) == ["threads: 14.0 to 16.0, +14.3%; less than 10% was expected"]
