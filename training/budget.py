"""How many epochs fit into a time budget.

Owns the measurement: a short fit of a model that is thrown away. Does not know what the budget is for.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.task import Dataset, FitOptions, Recipe, TrainingError

MEASURED_BATCHES = 20
MEASURED_EPOCHS = 4


def epochs_within(
    recipe: Recipe,
    dataset: Dataset,
    seconds: float,
    seed: int,
    teacher: Callable[[NDArray[Any]], NDArray[np.float32]] | None = None,
) -> tuple[int, float]:
    """As many epochs as fit into `seconds`, at least 1; and the seconds of one, as measured.

    Fits a few batches and their share of the validation rows for a few epochs, of which the first, which compiles,
    counts against the budget: the real fit will compile again. What measuring takes counts too. Raises
    TrainingError if the recipe does not tell of its epochs.
    """
    began = time.monotonic()
    ends = [began]
    rows = min(MEASURED_BATCHES * recipe.batch_rows, len(dataset.train))
    share = rows / len(dataset.train)
    part = replace(
        dataset,
        train=dataset.train.take(slice(0, rows)),
        validation=dataset.validation.take(slice(0, math.ceil(len(dataset.validation) * share))),
    )
    options = FitOptions(
        MEASURED_EPOCHS, seed, lambda *_: ends.append(time.monotonic()), lambda _: None, teacher=teacher
    )
    recipe.fit(recipe.build(part), part, options)
    if len(ends) <= MEASURED_EPOCHS:
        raise TrainingError(f"recipe {recipe.name} does not train by epochs: it cannot keep to --budget-minutes")
    first = ends[1] - ends[0]
    later = (ends[-1] - ends[1]) / (len(ends) - 2)
    epoch_seconds = later / share
    compile_seconds = max(first - later, 0.0)
    left = seconds - (time.monotonic() - began) - compile_seconds
    return max(int(left / epoch_seconds), 1), epoch_seconds
