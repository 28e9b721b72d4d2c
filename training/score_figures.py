"""What the test scores are worth as probabilities: calibration, the ROC curve, a table of thresholds.

Owns those figures. Does not know how they are shown, nor which classes there are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""As Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599."""

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Calibration:
    """Confidence against accuracy in equally wide bins of confidence, the first from 0 on.

    `ece`: the expected calibration error, the difference of the two averaged over rows. `rows`: how many rows a bin
    has; `confidence` and `accuracy` of a bin without rows are None.
    """

    ece: float
    bins: int
    rows: list[int]
    confidence: list[float | None]
    accuracy: list[float | None]


@dataclass(frozen=True)
class RocPoint:
    """The rates if every row from `threshold` on is called positive; None calls no row so."""

    threshold: float | None
    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True)
class Roc:
    """The corners of the ROC curve from (0, 0) to (1, 1), and the area under it."""

    auc: float
    points: list[RocPoint]


@dataclass(frozen=True)
class ThresholdFigures:
    """What comes of calling every row from `threshold` on positive; a ratio without a denominator is None."""

    threshold: float
    sensitivity: float | None
    specificity: float | None
    precision: float | None
    accuracy: float | None


def calibration(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> Calibration:
    """Bin rows by `confidence` [rows], the score of the predicted class; a bin holds its upper edge, not its lower."""
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = np.bincount(places, minlength=bins)
    sure, hits = np.zeros(bins), np.zeros(bins)
    np.add.at(sure, places, confidence)
    np.add.at(hits, places, right)
    return Calibration(
        ece=float(np.abs(hits - sure).sum() / max(1, len(confidence))),
        bins=bins,
        rows=rows.tolist(),
        confidence=_means(sure, rows),
        accuracy=_means(hits, rows),
    )


def roc(probability: NDArray[np.float64], truth: NDArray[np.int64]) -> Roc | None:
    """The curve of `probability` [rows] of class 1 over `truth` of 0 and 1; None if one of the two has no rows.

    Rows of equal probability are one step, so that a tie of a positive and a negative counts half to the area.
    """
    order = np.argsort(-probability, kind="stable")
    scores, positive = probability[order], truth[order] == 1
    positives = int(positive.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return None
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    hits = np.concatenate([[0], np.cumsum(positive)[ends]])
    alarms = np.concatenate([[0], (ends + 1) - hits[1:]])
    area = float(np.sum(np.diff(alarms) * (hits[1:] + hits[:-1])) / (2 * positives * negatives))
    points = [
        RocPoint(float(scores[ends[place - 1]]) if place else None, alarms[place] / negatives, hits[place] / positives)
        for place in _corners(alarms, hits)
    ]
    return Roc(area, points)


def threshold_table(
    probability: NDArray[np.float64], truth: NDArray[np.int64], decision_threshold: float
) -> list[ThresholdFigures]:
    """The figures at each tenth and at `decision_threshold`, ascending."""
    positive = truth == 1
    return [
        _at_threshold(probability >= threshold, positive, threshold)
        for threshold in sorted({*THRESHOLDS, decision_threshold})
    ]


def brier(probability: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The mean square of the difference of `probability` [rows] of class 1 and `truth` of 0 and 1."""
    return float(np.mean((probability - truth) ** 2))


def _means(sums: NDArray[np.float64], rows: NDArray[np.int64]) -> list[float | None]:
    return [float(total / count) if count else None for total, count in zip(sums, rows, strict=True)]


def _corners(across: NDArray[np.int64], up: NDArray[np.int64]) -> list[int]:
    # A straight line needs its ends alone.
    steps = np.stack([np.diff(across), np.diff(up)], axis=1)
    turns = steps[:-1, 0] * steps[1:, 1] != steps[:-1, 1] * steps[1:, 0]
    return [0, *(np.flatnonzero(turns) + 1).tolist(), len(across) - 1]


def _at_threshold(called: NDArray[np.bool_], positive: NDArray[np.bool_], threshold: float) -> ThresholdFigures:
    hits = int(np.count_nonzero(called & positive))
    passes = int(np.count_nonzero(~called & ~positive))
    positives, named, rows = int(positive.sum()), int(called.sum()), len(called)
    return ThresholdFigures(
        threshold,
        sensitivity=hits / positives if positives else None,
        specificity=passes / (rows - positives) if rows > positives else None,
        precision=hits / named if named else None,
        accuracy=(hits + passes) / rows if rows else None,
    )
