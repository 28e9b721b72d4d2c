"""A net taught by another's soft answers (Hinton, Vinyals, Dean, arXiv:1503.02531).

Owns what the net is taught, row by row. Does not know who the teacher is, nor the training loop.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.fitting import Drawn, FitPlan, fit
from training.task import Dataset, FitOptions, History, Rows, TrainingError

TEACHERS_SHARE = 0.8


def fit_taught(model: keras.Model, dataset: Dataset, options: FitOptions, plan: FitPlan) -> History:
    """Train `model` as fit() does, on images mirrored by a coin and `options.teacher`'s answers for just these images.

    The teacher is asked once for every training image and its mirror image. A fifth of what is taught is the truth: a
    teacher is not always right.
    """
    if options.teacher is None:
        raise TrainingError("this recipe is taught: --teacher names the folder of the package that teaches it")
    return fit(model, dataset, options, plan, taught_rows(dataset, options.teacher))


def taught_rows(
    dataset: Dataset, teacher: Callable[[NDArray[Any]], NDArray[np.float32]]
) -> Callable[[Rows, np.random.Generator], Drawn]:
    """What gives an epoch's rows: images, truth, and what is taught of each, [rows, classes] float32."""
    images = dataset.train.inputs
    truth = np.eye(len(dataset.class_indices), dtype=np.float32)[dataset.train.truth]
    answers = np.stack([teacher(images), teacher(images[:, :, ::-1])])
    taught = TEACHERS_SHARE * answers + (1 - np.float32(TEACHERS_SHARE)) * truth

    def draw(train: Rows, generator: np.random.Generator) -> Drawn:
        order = generator.permutation(len(train))
        mirrored = (generator.random(len(train)) < 0.5).astype(np.intp)
        rows = train.take(order)
        inputs = np.where(mirrored[:, None, None, None] == 1, rows.inputs[:, :, ::-1], rows.inputs)
        return Drawn(inputs, rows.truth, taught[mirrored, order])

    return draw
