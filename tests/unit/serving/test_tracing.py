"""Which calls are traced, and that those whose traces cannot be kept are counted and hurt nobody."""

import pytest

from serving.rpc.call_trace import CallEnd
from serving.tracing import WAITING_CALLS, Tracing

NOBODY = "127.0.0.1:9"
END = CallEnd(0.0, "a.B/C", 0, "id", "", 0, "", "")


def traceparent(flags: str) -> tuple[tuple[str, str], ...]:
    return (("traceparent", f"00-{'1' * 32}-{'2' * 16}-{flags}"),)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_callers_decision_goes_before_the_ratio(ratio):
    tracing = Tracing(NOBODY, ratio)
    assert tracing.begin(traceparent("00")) is None
    trace = tracing.begin(traceparent("01"))
    assert trace is not None
    assert trace.trace_name == "1" * 32


@pytest.mark.parametrize(
    "bad", [f"00-{'0' * 32}-{'2' * 16}-00", f"00-{'1' * 32}-{'0' * 16}-00", f"00-{'1' * 31}-{'2' * 16}-00", "", "00"]
)
def test_a_trace_context_that_is_none_decides_nothing(bad):
    metadata = (("traceparent", bad),)
    assert Tracing(NOBODY, 0.0).begin(metadata) is None
    trace = Tracing(NOBODY, 1.0).begin(metadata)
    assert trace is not None
    assert trace.parent is None


def test_the_ratio_is_that_of_the_calls_whose_caller_says_nothing():
    tracing = Tracing(NOBODY, 0.25)
    traced = sum(tracing.begin(()) is not None for _ in range(4000))
    assert 800 < traced < 1200


def test_what_was_chosen_by_the_ratio_is_a_trace_of_its_own():
    traces = [Tracing(NOBODY, 1.0).begin((("user-agent", "grpc"),)) for _ in range(100)]
    assert len({trace.trace_id for trace in traces if trace is not None}) == 100


def test_traces_that_find_the_queue_full_are_counted():
    tracing = Tracing(NOBODY, 1.0)
    for _ in range(WAITING_CALLS + 3):
        trace = tracing.begin(())
        assert trace is not None
        trace.end = END
        tracing.keep(trace)
    assert tracing.lost == 3
