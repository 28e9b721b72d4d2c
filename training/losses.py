"""Losses that the recipes share.

Owns functions of (truth [rows] int64, scores [rows, classes or 1]) → the loss of each row. Does not know nets.
"""

from typing import Any

import keras


def binary_crossentropy(truth: Any, scores: Any) -> Any:  # noqa: ANN401 - tensors
    """For one column: the log-loss of class 1."""
    return keras.losses.binary_crossentropy(keras.ops.expand_dims(truth, 1), scores)


def taught_crossentropy(truth: Any, scores: Any) -> Any:  # noqa: ANN401 - tensors
    """`truth` [rows] classes, or [rows, classes] as a teacher shares them out."""
    if len(truth.shape) == 1:
        return keras.losses.sparse_categorical_crossentropy(truth, scores)
    return keras.losses.categorical_crossentropy(truth, scores)


def smoothed_crossentropy(truth: Any, scores: Any) -> Any:  # noqa: ANN401 - tensors
    """The truth given 0.9, the rest shared by all classes (Szegedy et al., arXiv:1512.00567)."""
    return keras.losses.categorical_crossentropy(keras.ops.one_hot(truth, scores.shape[1]), scores, label_smoothing=0.1)
