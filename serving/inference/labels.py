"""Scores to labels, by class_indices.

Owns the decision (argmax, or sigmoid with its threshold) and the order of the best classes: falling score, ties by the
lower class index, NaN last. Does not know where scores come from.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Decision:
    """How a label is decided. Sigmoid: class 1 where the probability is at least `threshold`."""

    kind: Literal["argmax", "sigmoid"]
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of some rows.

    `class_indices` [rows] int64, decided; `scores` [rows, classes] float32; `top` [rows, k] int64, best first;
    `probability` [rows] float32 of class 1 for a sigmoid, else None.
    """

    class_indices: NDArray[np.int64]
    scores: NDArray[np.float32]
    top: NDArray[np.int64]
    probability: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class Labeller:
    """Decides labels for the output `output` of a model whose labels, by class index, are `labels`."""

    output: str
    labels: tuple[str, ...]
    decision: Decision

    def label(self, output: NDArray[Any], top_k: int) -> Labelled:
        """Label `output`, [rows, classes] or for a sigmoid [rows, 1], floats; at most `top_k` classes in `top`."""
        values = output.astype(np.float32, copy=False)
        if self.decision.kind == "sigmoid":
            probability = values.reshape(len(values))
            scores = np.stack([1 - probability, probability], axis=1)
            decided = (probability >= self.decision.threshold).astype(np.int64)
            return Labelled(decided, scores, top_k_classes(scores, top_k), probability)
        top = top_k_classes(values, top_k)
        return Labelled(top[:, 0], values, top, None)


def top_k_classes(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The k best classes of each row, [rows, min(k, classes)] int64: falling score, ties by lower index, NaN last."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
