"""A training run, from the seed to the published package.

Owns the order: seed, load, build, fit, evaluate, export with its report. Does not know any task.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

from training.export import check_class_indices, export_package
from training.fitting import decide, predict
from training.progress import FitProgress
from training.report import write_report
from training.seeding import seed_everything
from training.task import Dataset, FitOptions, Recipe, Rows, RunRecord, Task, TrainingError


@dataclass(frozen=True)
class RunOptions:
    """What the command line set; None is the recipe's own."""

    repository: Path
    command: str
    data: Path | None = None
    seed: int | None = None
    epochs: int | None = None


def run(task: Task, recipe: Recipe, options: RunOptions, console: Console) -> Path:
    """Train `recipe` of `task` and publish the package; give its folder. Raises TrainingError."""
    started, clock = datetime.now(UTC), time.perf_counter()
    seed = recipe.seed if options.seed is None else options.seed
    epochs = recipe.epochs if options.epochs is None else options.epochs
    seed_everything(seed)
    dataset = load(task, recipe, options.data, seed, console)
    check_class_indices(options.repository, task.name, dataset.class_indices)
    model = recipe.build(dataset)
    console.print(f"{task.name} {recipe.name}: {model.count_params():,} parameters, {epochs} epochs, seed {seed}")
    with FitProgress(epochs, len(dataset.train), console) as progress:
        history = recipe.fit(model, dataset, FitOptions(epochs, seed, progress.epoch, progress.rows))
    scores = predict(model, dataset.test.inputs)
    metrics = evaluate(scores, dataset.test)
    console.print(
        f"test: {metrics['accuracy']:.2%} ({metrics['accuracy'] * metrics['rows']:.0f} of {metrics['rows']:.0f})"
    )
    record = RunRecord(
        task=task,
        recipe=recipe,
        dataset=dataset,
        history=history,
        metrics=metrics,
        scores=scores,
        command=options.command,
        seed=seed,
        epochs=epochs,
        started=started,
        seconds=time.perf_counter() - clock,
    )
    return export_package(model, record, options.repository, lambda folder: write_report(record, model, folder))


def load(task: Task, recipe: Recipe, data: Path | None, seed: int, console: Console) -> Dataset:
    """The recipe's data set, or the task's. Raises TrainingError if there is nothing to train or test on."""
    dataset = (recipe.load or task.load)(data, seed)
    if not len(dataset.train) or not len(dataset.test):
        raise TrainingError(f"{dataset.source}: {len(dataset.train)} rows to train and {len(dataset.test)} to test on")
    console.print(
        f"{dataset.source}: {len(dataset.train):,} rows to train, {len(dataset.validation):,} to validate, "
        f"{len(dataset.test):,} to test",
        highlight=False,
        # A path may hold what rich reads as markup.
        markup=False,
        soft_wrap=True,
    )
    return dataset


def evaluate(scores: np.ndarray, test: Rows) -> dict[str, float]:
    """Accuracy and mean cross-entropy of `scores` [rows, classes or 1] on the test split."""
    picked = np.concatenate([1 - scores, scores], axis=1) if scores.shape[1] == 1 else scores
    likelihood = picked[np.arange(len(test)), test.truth]
    return {
        "accuracy": float(np.mean(decide(scores) == test.truth)),
        "loss": float(-np.mean(np.log(np.maximum(likelihood, keras.config.epsilon())))),
        "rows": float(len(test)),
    }
