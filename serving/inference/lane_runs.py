"""Runs in lanes, one after the other, for measuring.

Owns the sharing out of rows among threads, as a Batcher with lanes does it under load. onnxruntime's own threads share
each operator of a run and wait for each other at its end; measured on 2 cores, a small convolutional net gave 14,400
rows a second with one thread, 16,500 so, and 28,400 with half of the rows in each of two runs. Does not know when it
pays.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from itertools import pairwise

from serving.inference.session import Session
from serving.inference.signature import Tensors


class LaneRuns:
    """Rows shared out among `lanes`, executors of a thread each; of a run `thread_rows` rows at least."""

    def __init__(self, session: Session, lanes: Sequence[Executor], thread_rows: int) -> None:
        self._session = session
        self._lanes = lanes
        self._thread_rows = thread_rows

    def run(self, inputs: Tensors) -> list[Tensors]:
        """The outputs of each run, in order. Too few rows for two runs are run here. Raises as the session does."""
        rows = self._session.signature.rows(inputs)
        count = min(len(self._lanes), rows // self._thread_rows)
        if count < 2:  # noqa: PLR2004 - nothing to share out
            return [self._session.run(inputs)]
        edges = [rows * part // count for part in range(count + 1)]
        parts = [{name: array[start:stop] for name, array in inputs.items()} for start, stop in pairwise(edges)]
        futures = [lane.submit(self._session.run, part) for lane, part in zip(self._lanes, parts, strict=False)]
        return [future.result() for future in futures]
