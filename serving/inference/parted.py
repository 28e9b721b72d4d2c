"""Runs of many rows in parts, each on a core of its own.

Owns the parting and the joining. onnxruntime's own threads share each operator of a run and wait for each other at its
end; measured on 2 cores, a small convolutional net gave 14,400 rows a second with one thread, 16,500 so, and 28,400 in
two parts. Does not know when it pays.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from serving.inference.session import OnnxSession, RunEnd, SessionError
from serving.inference.signature import Tensors


class PartedSession:
    """A session of one thread that is used by several at once; for models whose rows do not depend on each other.

    `intra_op_threads`: how many. They have the priority of the thread that makes the first run, and end when nobody
    refers to this any more. `least_rows`: of a part.
    """

    def __init__(self, session: OnnxSession, threads: int, least_rows: int) -> None:
        self._session = session
        self._least_rows = least_rows
        self._others = ThreadPoolExecutor(threads - 1, thread_name_prefix="part")
        self.signature = session.signature
        self.provider = session.provider
        self.intra_op_threads = threads

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        """See Session; the parts are of equal size but for a row. The error is that of the first part that failed.

        Raises SessionError too where the outputs of parts differ in shape.
        """
        rows = self.signature.rows(inputs)
        count = min(self.intra_op_threads, max(1, rows // self._least_rows))
        if count == 1:
            return self._session.run(inputs, end)
        edges = [rows * part // count for part in range(count + 1)]
        parts = [{name: array[start:stop] for name, array in inputs.items()} for start, stop in pairwise(edges)]
        futures = [self._others.submit(self._session.run, part, end) for part in parts[1:]]
        try:
            outputs = [self._session.run(parts[0], end)]
        finally:
            # No part goes on after the run.
            ends = [future.exception() for future in futures]
        for error in filter(None, ends):
            raise error
        outputs += [future.result() for future in futures]
        try:
            return {name: np.concatenate([part[name] for part in outputs]) for name in outputs[0]}
        except ValueError as error:
            text = f"the outputs for parts of these {rows} rows differ in shape; send fewer rows in one request"
            raise SessionError(text) from error
