"""Scores to labels, by class_indices.

Owns the decision (argmax, or sigmoid with its threshold) and the order of the best classes: falling score, ties by the
lower class index, NaN last. Does not know where scores come from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from serving.inference.session import RunEnd, Session
from serving.inference.signature import Signature, Tensors

DECISIONS = "signet decisions"
"""The name under which a LabellingSession adds what it decided to a model's outputs."""

DECISION = np.dtype(
    [("class_index", "<i4"), ("best", "<i4"), ("score", "<f4"), ("best_score", "<f4"), ("probability", "<f4")]
)
"""What is decided for a row: the class and its score; the class with the best score, another one where a sigmoid's
threshold is not 0.5, and that score; the probability of class 1 for a sigmoid, else 0."""


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """How a label is decided. Sigmoid: class 1 where the probability is at least `threshold`."""

    kind: Literal["argmax", "sigmoid"]
    threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.5


@dataclass(frozen=True, slots=True)
class Labeller:
    """Decides labels for the output `output` of a model whose labels, by class index, are `labels`.

    That output is [rows, classes] or for a sigmoid [rows, 1], floats.
    """

    output: str
    labels: tuple[str, ...]
    decision: Decision

    def decide(self, output: NDArray[Any]) -> NDArray[np.void]:
        """What is decided for each row, [rows] DECISION."""
        values = output.astype(np.float32, copy=False)
        decided = np.empty(len(values), DECISION)
        if self.decision.kind == "sigmoid":
            probability = values.reshape(len(values))
            complement = 1 - probability
            positive = probability >= self.decision.threshold
            likely = probability > complement
            decided["class_index"], decided["best"] = positive, likely
            decided["score"] = np.where(positive, probability, complement)
            decided["best_score"] = np.maximum(probability, complement)
            decided["probability"] = probability
            return decided
        best = values.argmax(axis=1)
        score = values.max(axis=1)
        if np.isnan(score).any():
            # For argmax and max, NaN is the highest.
            best = top_k_classes(values, 1)[:, 0]
            score = np.take_along_axis(values, best[:, None], axis=1)[:, 0]
        decided["class_index"] = decided["best"] = best
        decided["score"] = decided["best_score"] = score
        decided["probability"] = 0
        return decided

    def scores(self, output: NDArray[Any]) -> NDArray[np.float32]:
        """The scores of all classes, [rows, classes] float32; of a sigmoid 1 - p and p."""
        values = output.astype(np.float32, copy=False)
        if self.decision.kind == "sigmoid":
            probability = values.reshape(len(values))
            return np.stack([1 - probability, probability], axis=1)
        return values


class LabellingSession:
    """Wraps a session and decides labels for all rows of a run at once, which costs little more than for one row.

    `count` is told how many rows of each run got which label.
    """

    def __init__(self, session: Session, labeller: Labeller, count: Callable[[dict[str, int]], None]) -> None:
        self._session = session
        self._labeller = labeller
        self._count = count

    @property
    def signature(self) -> Signature:
        """That of the session."""
        return self._session.signature

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        """All outputs by name, and the decisions beside them as DECISIONS. Raises as the session does."""
        outputs = self._session.run(inputs, end)
        decided = outputs[DECISIONS] = self._labeller.decide(outputs[self._labeller.output])
        rows = np.bincount(decided["class_index"])
        self._count({self._labeller.labels[index]: int(rows[index]) for index in rows.nonzero()[0].tolist()})
        return outputs


def top_k_classes(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The k best classes of each row, [rows, min(k, classes)] int64: falling score, ties by lower index, NaN last."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
