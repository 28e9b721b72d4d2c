"""The classification extension: the best classes of each row as text, "score:index:label".

Owns that text, byte for byte as Triton writes it, and the order: falling score, ties by the lower index, NaN last (in
Triton, ties and NaN have no order). Does not know requests.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import InvalidInput
from serving.inference.labels import Labeller
from serving.inference.signature import TensorSpec

NOT_CLASSIFIED = frozenset({"FP16", "BF16", "BOOL", "BYTES"})
MAX_TEXTS = 65_536
"""In one answer: they are made where other callers wait."""


def check_classified(spec: TensorSpec) -> None:
    """Raise InvalidInput for an output that cannot be classified."""
    if spec.datatype in NOT_CLASSIFIED:
        raise InvalidInput(f"output {spec.name}: classification of {spec.datatype} is not offered")


def class_texts(array: NDArray[Any], spec: TensorSpec, count: int, labeller: Labeller | None) -> NDArray[np.object_]:
    """The `count` best classes of each row of the output `spec`: [rows, min(count, classes)] str.

    All elements of a row are its classes; those of a sigmoid, for which `labeller` decides, are 1 - p and p.
    """
    labels: tuple[str, ...] = ()
    if labeller is not None and labeller.output == spec.name:
        labels = labeller.labels
        if labeller.decision.kind == "sigmoid":
            array = labeller.scores(array)
    rows = len(array) if spec.free_rows or array.ndim > 1 else 1
    scores = array.reshape(rows, math.prod(array.shape) // rows if rows else 0)
    count = min(count, scores.shape[1])
    if rows * count > MAX_TEXTS:
        raise InvalidInput(
            f"output {spec.name}: classification: {rows} rows of {count} classes were asked for; "
            f"at most {MAX_TEXTS} classes in all were expected"
        )
    # Integers have no negative of their least value, but their complements fall where they rise.
    falling = -scores if scores.dtype.kind == "f" else ~scores
    best = np.argsort(falling, axis=1, kind="stable")[:, :count]
    text = "{:f}:{}" if scores.dtype.kind == "f" else "{}:{}"
    texts = np.empty((rows, count), np.object_)
    for row, (indices, values) in enumerate(
        zip(best.tolist(), np.take_along_axis(scores, best, 1).tolist(), strict=True)
    ):
        for column, (index, value) in enumerate(zip(indices, values, strict=True)):
            plain = text.format(value, index)
            texts[row, column] = f"{plain}:{labels[index]}" if labels else plain
    return texts
