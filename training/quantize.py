"""INT8 behind an accuracy gate: the ONNX file of a trained model, its weights and activations in eight bits.

Owns the settings of the quantisation, the gate, and what is measured against fp32. Does not know where packages lie.
"""

import os
import statistics
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from training.class_figures import findings
from training.equality import Forward, onnx_forward
from training.row_choice import spread_rows
from training.signature import Signature
from training.task import RunRecord, TrainingError

# Read by onnxruntime when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

CALIBRATION_ROWS = 1_024
LARGEST_LOSS = 0.002
"""The accuracy on the test split that INT8 may lose: 0.2 points."""
TOLERANCE = 0.05
"""Absolute difference of a probability that the golden check of an INT8 package allows.

The kernels of another CPU or provider round a value that lies between two of the 256 steps the other way, and one step
in an early layer reaches the probabilities: fused kernels and the bare graph differ by up to 0.033 on Fashion-MNIST.
"""
MEASURED_ROWS = (1, 64)
ROUNDS = 9
ROUND_SECONDS = 0.06
FORWARD_ROWS = 256


@dataclass(frozen=True)
class Quantized:
    """An INT8 model: ONNX bytes, its `scores` [test rows, classes or 1] float32, and what quantize.json tells."""

    model: bytes
    scores: NDArray[np.float32]
    figures: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether it is good enough to be published."""
        return bool(self.figures["published"])

    @property
    def sentence(self) -> str:
        """What came out, for the user."""
        fp32, int8, speed = (self.figures[name] for name in ("fp32_accuracy", "int8_accuracy", "rows_per_second"))
        told = f"int8: {int8:.2%} on the test split where fp32 has {fp32:.2%}"
        if _lost(fp32, int8) > LARGEST_LOSS:
            short = 100 * (_lost(fp32, int8) - LARGEST_LOSS)
            return f"{told}; not published: it fails the gate of {100 * LARGEST_LOSS:g} points by {short:.2f} points"
        if not self.passed:
            difference = self.figures["kernel_difference"]
            return f"{told}; not published: fused kernels differ by {difference:.3g} from the graph, over {TOLERANCE:g}"
        size = self.figures["int8_bytes"] / self.figures["fp32_bytes"]
        ratios = (f"{speed['int8'][rows] / speed['fp32'][rows]:.2f} times at {rows}" for rows in speed["fp32"])
        return f"{told}; {size:.0%} of the size; rows a second against fp32, by rows a run: {', '.join(ratios)}"


def quantize(fp32: Path, run: RunRecord, signature: Signature, golden: NDArray[np.intp]) -> Quantized:
    """Quantise the ONNX file `fp32` by 1,024 training rows, and measure it against fp32 on the test split.

    It passes if it is at most 0.2 points less accurate, and if fused kernels and the bare graph agree within TOLERANCE
    on the `golden` test rows.

    Static QDQ, unsigned activations and signed weights of seven bits, each output channel with its own scale; whatever
    follows the last layer with weights, and that layer, stay in fp32. Raises TrainingError if onnxruntime cannot.
    """
    model = _quantized_bytes(fp32, run, signature)
    forwards = {"fp32": onnx_forward(fp32, signature), "int8": onnx_forward(model, signature)}
    rows = run.dataset.test.inputs
    scores = {name: _forward_all(forward, rows) for name, forward in forwards.items()}
    accuracy = {name: _accuracy(run, values) for name, values in scores.items()}
    bare = onnx_forward(model, signature, optimised=False)(rows[golden])
    difference = float(np.max(np.abs(scores["int8"][golden] - bare)))
    passes = _lost(accuracy["fp32"], accuracy["int8"]) <= LARGEST_LOSS and difference <= TOLERANCE
    figures = {
        "fp32_accuracy": accuracy["fp32"],
        "int8_accuracy": accuracy["int8"],
        "largest_loss": LARGEST_LOSS,
        "kernel_difference": difference,
        "fp32_bytes": fp32.stat().st_size,
        "int8_bytes": len(model),
        "rows_per_second": _rows_per_second(forwards, rows),
        "published": passes,
    }
    return Quantized(model, scores["int8"], figures)


class _TrainingRows(CalibrationDataReader):  # type: ignore[misc] # onnxruntime is published without types
    """Training rows by batches, from each class alike."""

    def __init__(self, run: RunRecord, signature: Signature) -> None:
        train = run.dataset.train
        rows = train.inputs[spread_rows(train.truth, CALIBRATION_ROWS)]
        self._batches = iter([{signature.input.name: rows[start : start + 64]} for start in range(0, len(rows), 64)])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._batches, None)


def _quantized_bytes(fp32: Path, run: RunRecord, signature: Signature) -> bytes:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared, written = Path(folder, "prepared.onnx"), Path(folder, "int8.onnx")
        try:
            # Its symbolic shape inference fails on batch-normalised nets; ONNX's own is enough here.
            quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                written,
                _TrainingRows(run, signature),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                # Two products of eight bits each overflow the 16-bit sums of CPUs without VNNI.
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_last_layer(onnx.load(prepared).graph),
                calibrate_method=CalibrationMethod.MinMax,
            )
        except OSError:
            raise
        except Exception as error:  # onnxruntime's classes share no parent but this one
            raise TrainingError(f"task {run.task.name}: onnxruntime cannot quantise the model: {error}") from error
        return written.read_bytes()


def _last_layer(graph: onnx.GraphProto) -> list[str]:
    """The names of the nodes from the last one with weights to the output: 256 steps are too few for probabilities."""
    makers = {output: node for node in graph.node for output in node.output}
    weights = {tensor.name for tensor in graph.initializer}
    excluded: list[str] = []
    waiting = [tensor.name for tensor in graph.output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in excluded:
            continue
        excluded.append(node.name)
        if node.op_type not in {"Gemm", "MatMul", "Conv"} or not weights & set(node.input):
            waiting.extend(node.input)
    return excluded


def _forward_all(forward: Forward, rows: NDArray[Any]) -> NDArray[np.float32]:
    return np.concatenate([forward(rows[start : start + FORWARD_ROWS]) for start in range(0, len(rows), FORWARD_ROWS)])


def _accuracy(run: RunRecord, scores: NDArray[np.float32]) -> float:
    judged = findings(scores, run.dataset.test.truth, run.dataset.labels, run.task.decision)
    return judged.correct / judged.total


def _lost(fp32: float, int8: float) -> float:
    """What INT8 is less accurate, free of the last digits of floats: 20 rows of 10,000 are 0.2 points."""
    return round(fp32 - int8, 9)


def _rows_per_second(forwards: dict[str, Forward], rows: NDArray[Any]) -> dict[str, dict[str, float]]:
    """Medians over rounds in turn, so that what else the machine does meets all alike."""
    measured: dict[str, dict[str, float]] = {name: {} for name in forwards}
    for count in MEASURED_ROWS:
        few = np.resize(rows, (count, *rows.shape[1:]))
        rates: dict[str, list[float]] = {name: [] for name in forwards}
        for _ in range(ROUNDS):
            for name, forward in forwards.items():
                rates[name].append(count * _runs_per_second(forward, few))
        for name, values in rates.items():
            measured[name][str(count)] = round(statistics.median(values), 1)
    return measured


def _runs_per_second(forward: Forward, rows: NDArray[Any]) -> float:
    forward(rows)
    runs, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < ROUND_SECONDS or not runs:
        forward(rows)
        runs += 1
    return runs / seconds
