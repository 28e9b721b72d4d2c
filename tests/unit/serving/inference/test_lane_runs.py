"""Rows are shared out among lanes evenly, and each lane runs its own in its thread."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from serving.inference.lane_runs import LaneRuns
from serving.inference.session import OnnxSession, RunEnd, SessionError, SessionSettings
from serving.inference.signature import Tensors
from tests import tiny_models as tiny

THREAD_ROWS = 16


class CountedSession(OnnxSession):
    """A session that notes the rows and the thread of each run."""

    runs: list[tuple[int, str]]

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        self.runs.append((self.signature.rows(inputs), threading.current_thread().name[:1]))
        return super().run(inputs, end)


def counted(model: bytes) -> CountedSession:
    session = CountedSession.open(model, SessionSettings(1))
    assert isinstance(session, CountedSession)
    session.runs = []
    return session


@pytest.fixture
def lanes() -> Iterator[list[ThreadPoolExecutor]]:
    """Three, whose threads have the names a, b and c."""
    with ExitStack() as stack:
        yield [stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix=name)) for name in "abc"]


@pytest.mark.parametrize(
    ("rows", "runs"),
    [
        pytest.param(32, [(16, "a"), (16, "b")], id="as many rows as two runs need"),
        pytest.param(47, [(23, "a"), (24, "b")], id="an odd number of rows"),
        pytest.param(100, [(33, "a"), (33, "b"), (34, "c")], id="a run for each lane"),
        pytest.param(31, [(31, "M")], id="too few rows for two runs"),
        pytest.param(0, [(0, "M")], id="no rows"),
    ],
)
def test_rows_are_shared_out_in_order(lanes, rows, runs):
    session = counted(tiny.linear_model())
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    outputs = LaneRuns(session, lanes, THREAD_ROWS).run({"x": x})
    assert sorted(session.runs, key=lambda run: run[1]) == runs
    np.testing.assert_array_equal(np.concatenate([one["y"] for one in outputs]), session.run({"x": x})["y"])


@pytest.mark.parametrize("faulty", [0, 31])
def test_the_error_of_any_run_is_raised(lanes, faulty):
    index = np.zeros((32, 1), np.int64)
    index[faulty] = 99
    with pytest.raises(SessionError, match="the model failed on this input"):
        LaneRuns(counted(tiny.gather_model()), lanes, THREAD_ROWS).run({"index": index})
