"""What the test scores come to: predicted classes, confusion matrix, precision and recall, the worst mistakes.

Owns those figures. Does not know how they are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassFigures:
    """One class: its `rows` in the test split; a ratio without a denominator is None."""

    label: str
    class_index: int
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Findings:
    """The test split judged: `predicted` [rows] int64, `confidence` [rows] the score of the predicted class.

    `confusion` [truth, predicted] counts; `mistakes` are row indices, the most confident first.
    """

    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    confusion: NDArray[np.int64]
    classes: tuple[ClassFigures, ...]
    mistakes: NDArray[np.intp]

    @property
    def correct(self) -> int:
        """How many rows were predicted right."""
        return int(np.trace(self.confusion))

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.predicted)


def findings(
    scores: NDArray[np.float32], truth: NDArray[np.int64], labels: list[str], decision: Mapping[str, Any]
) -> Findings:
    """Judge `scores` [rows, classes or 1] by the manifest's decision: argmax, or sigmoid with its threshold."""
    predicted, confidence = _decide(scores.astype(np.float64), decision)
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    wrong = np.flatnonzero(predicted != truth)
    mistakes = wrong[np.argsort(-confidence[wrong], kind="stable")]
    classes = tuple(_class_figures(label, index, confusion) for index, label in enumerate(labels))
    return Findings(predicted, confidence, confusion, classes, mistakes)


def _decide(scores: NDArray[np.float64], decision: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if decision["kind"] == "sigmoid":
        probability = scores[:, 0]
        predicted = (probability >= decision["threshold"]).astype(np.int64)
        return predicted, np.where(predicted == 1, probability, 1 - probability)
    return scores.argmax(axis=1), scores.max(axis=1)


def _class_figures(label: str, index: int, confusion: NDArray[np.int64]) -> ClassFigures:
    hits, rows, named = int(confusion[index, index]), int(confusion[index].sum()), int(confusion[:, index].sum())
    return ClassFigures(label, index, rows, _ratio(hits, named), _ratio(hits, rows), _ratio(2 * hits, rows + named))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
