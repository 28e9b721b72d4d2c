"""The spread of a recipe over seeds, as its recorded sweep tells it.

Owns what a report takes from a result file. Does not know who wrote it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.results import read_result, spread
from training.task import TrainingError

LEAST_SEEDS = 2


@dataclass(frozen=True)
class SeedResults:
    """The accuracy on the test split of each seed, and their median, lowest and highest."""

    accuracies: list[float]
    median: float
    lowest: float
    highest: float


def seed_results(folder: Path, task: str, recipe: str) -> SeedResults | None:
    """The runs of the sweep in `folder`/TASK_RECIPE.json; None if it does not tell of at least two seeds."""
    try:
        runs = read_result(folder / f"{task}_{recipe}.json").get("runs")
    except TrainingError:
        return None
    told = [_accuracy(of_seed) for of_seed in runs] if isinstance(runs, list) else []
    accuracies = [accuracy for accuracy in told if accuracy is not None]
    if len(accuracies) < LEAST_SEEDS:
        return None
    figures = spread(accuracies)
    return SeedResults(accuracies, figures["median"], figures["lowest"], figures["highest"])


def _accuracy(of_seed: Any) -> float | None:  # noqa: ANN401 - whatever the file holds
    accuracy = of_seed.get("accuracy") if isinstance(of_seed, Mapping) else None
    return float(accuracy) if isinstance(accuracy, (int, float)) and not isinstance(accuracy, bool) else None
