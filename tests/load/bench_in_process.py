"""What onnxruntime does by itself: `run` in a loop, the most that a server could reach with the same rows a call."""

import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.inference.cores import available_cores

# Read by onnxruntime when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort


class InProcess:
    """A model in this process, once with a thread and once with one for each core, neither of them spinning."""

    def __init__(self, model: Path) -> None:
        threads = sorted({1, available_cores()})
        self._sessions = {count: _session(model, count) for count in threads}
        self._rates: dict[tuple[int, int], list[float]] = {}

    def outputs(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """The model's only output for rows of its only input."""
        session = self._sessions[1]
        outputs: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: rows})[0]
        return outputs

    def measure(self, rows: NDArray[Any], seconds: float) -> None:
        """Run for so long with each number of threads."""
        for threads, session in self._sessions.items():
            inputs = {session.get_inputs()[0].name: rows}
            session.run(None, inputs)
            runs, started = 0, time.perf_counter()
            while (passed := time.perf_counter() - started) < seconds:
                session.run(None, inputs)
                runs += 1
            self._rates.setdefault((len(rows), threads), []).append(runs * len(rows) / passed)

    def forget(self) -> None:
        """Drop what was measured."""
        self._rates.clear()

    def best(self, rows: int) -> tuple[float, int]:
        """The most rows a second with so many rows a run, a median, and the threads that gave it."""
        medians = ((statistics.median(rates), key[1]) for key, rates in self._rates.items() if key[0] == rows)
        return max(medians)


def _session(model: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
