"""A training run, from the seed to the published package.

Owns the order: seed, load, build, fit, evaluate, export with its report. Does not know any task.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from training import cross_validation
from training.export import check_repository, export_package
from training.fitting import decide, predict
from training.recording import record_run
from training.report import write_report
from training.resuming import FitSettings, checkpoint_of, fit_recipe, telling_where_to_go_on
from training.seeding import seed_everything
from training.task import Dataset, FitOptions, Recipe, Rows, RunRecord, Task, TrainingError
from training.teacher import Teacher, open_teacher

MIRRORED = "flip_averaged_accuracy"
"""Never what a package answers: a server runs each image once."""


@dataclass(frozen=True)
class RunOptions:
    """What the command line set; None is the recipe's own.

    `checkpoints`: the folder that they are kept in; None keeps none. `fresh`: begin anew even if there is one.
    `results`: the folder that the run is recorded in; None records nothing. `quantize`: publish INT8 too if it is as
    good. `teacher`: the folder of the package that teaches a recipe that is taught.
    """

    repository: Path
    command: str
    data: Path | None = None
    seed: int | None = None
    epochs: int | None = None
    budget_minutes: float | None = None
    checkpoints: Path | None = None
    fresh: bool = False
    results: Path | None = None
    quantize: bool = False
    teacher: Path | None = None

    def fit_settings(self, recipe: Recipe) -> FitSettings:
        """The same with what is the recipe's own, but the teacher."""
        return FitSettings(
            seed=recipe.seed if self.seed is None else self.seed,
            epochs=recipe.epochs if self.epochs is None else self.epochs,
            budget_minutes=self.budget_minutes,
            checkpoints=self.checkpoints,
            fresh=self.fresh,
        )


def run(task: Task, recipe: Recipe, options: RunOptions, console: Console) -> Path:
    """Train `recipe` of `task` and publish the package; give its folder. Raises TrainingError."""
    started = datetime.now(UTC)
    settings = options.fit_settings(recipe)
    seed_everything(settings.seed)
    dataset = load(task, recipe, options.data, settings.seed, console)
    settings = replace(settings, teacher=_teacher(recipe, options.teacher, dataset))
    packaged = replace(task, **recipe.package)
    check_repository(options.repository, packaged.name, dataset.class_indices)
    checkpoint = checkpoint_of(task, recipe, dataset, settings)
    with telling_where_to_go_on(checkpoint, console):
        fitted = fit_recipe(recipe, dataset, settings, checkpoint, console)
        clock = time.perf_counter()
        scores = predict(fitted.model, dataset.test.inputs)
        metrics = evaluate(scores, dataset.test, packaged.decision.get("threshold", 0.5))
        if recipe.mirrors:
            metrics |= evaluate_mirrored(fitted.model, scores, dataset.test)
        if recipe.cross_validated:
            metrics |= cross_validate(recipe, dataset, packaged.decision["threshold"], settings, console)
        console.print(
            f"test: {metrics['accuracy']:.2%} ({metrics['accuracy'] * metrics['rows']:.0f} of {metrics['rows']:.0f})"
        )
        if MIRRORED in metrics:
            console.print(f"mean of the answers for each image and its mirror image: {metrics[MIRRORED]:.2%}")
        record = RunRecord(
            task=packaged,
            recipe=recipe,
            dataset=dataset,
            history=fitted.history,
            metrics=metrics,
            scores=scores,
            command=options.command,
            seed=settings.seed,
            epochs=fitted.epochs,
            started=started,
            seconds=fitted.seconds + time.perf_counter() - clock,
            augment_seconds=fitted.augment_seconds,
            compute=fitted.compute,
            teacher=settings.teacher.told if settings.teacher else {},
        )
        model = fitted.model
        folder = export_package(
            model,
            record,
            options.repository,
            lambda told, folder: write_report(told, model, folder),
            partial(console.print, soft_wrap=True) if options.quantize else None,
        )
    if options.results:
        record_run(task, record, model.count_params(), options.data, options.results)
    if checkpoint:
        checkpoint.remove()
    return folder


def run_without_export(task: Task, recipe: Recipe, options: RunOptions, console: Console) -> dict[str, Any]:
    """Train and test as `run` does, but publish nothing; give the figures. The checkpoint stays: it is among them."""
    settings = options.fit_settings(recipe)
    seed_everything(settings.seed)
    dataset = load(task, recipe, options.data, settings.seed, console)
    settings = replace(settings, teacher=_teacher(recipe, options.teacher, dataset))
    checkpoint = checkpoint_of(task, recipe, dataset, settings)
    fitted = fit_recipe(recipe, dataset, settings, checkpoint, console)
    threshold = {**task.decision, **recipe.package.get("decision", {})}.get("threshold", 0.5)
    metrics = evaluate(predict(fitted.model, dataset.test.inputs), dataset.test, threshold)
    rows = len(dataset.test)
    return {
        "seed": settings.seed,
        "accuracy": metrics["accuracy"],
        "correct": round(metrics["accuracy"] * rows),
        "rows": rows,
        "seconds": round(fitted.seconds, 1),
        "parameters": fitted.model.count_params(),
        "checkpoint": str(checkpoint.path) if checkpoint else "",
    }


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


def cross_validate(
    recipe: Recipe, dataset: Dataset, threshold: float, settings: FitSettings, console: Console
) -> dict[str, float]:
    """Accuracy, AUC and Brier score of the recipe over 10 x 10 folds of all rows of `dataset`, fitted anew in each."""
    rows = Rows.together((dataset.train, dataset.validation, dataset.test))
    options = FitOptions(recipe.epochs, settings.seed, lambda *_: None, lambda _: None)

    def fit_and_score(train: Rows, test: Rows) -> np.ndarray:
        fold = replace(dataset, train=train, validation=train.take(slice(0, 0)), test=test)
        model = recipe.build(fold)
        recipe.fit(model, fold, options)
        return predict(model, test.inputs)

    with console.status("cross-validating, 10 x 10 folds"):
        figures = cross_validation.cross_validate(rows, fit_and_score, threshold, settings.seed)
    console.print(
        f"10 x 10 folds of {len(rows)} rows: accuracy {figures['cv_accuracy']:.2%}, AUC {figures['cv_auc']:.4f}, "
        f"Brier score {figures['cv_brier']:.4f}",
        highlight=False,
    )
    return figures


def evaluate(scores: np.ndarray, test: Rows, threshold: float) -> dict[str, float]:
    """Accuracy, from `threshold` on for one column, and mean cross-entropy of `scores` [rows, classes or 1]."""
    picked = np.concatenate([1 - scores, scores], axis=1) if scores.shape[1] == 1 else scores
    likelihood = picked[np.arange(len(test)), test.truth]
    return {
        "accuracy": float(np.mean(decide(scores, threshold) == test.truth)),
        "loss": float(-np.mean(np.log(np.maximum(likelihood, keras.config.epsilon())))),
        "rows": float(len(test)),
    }


def _teacher(recipe: Recipe, package: Path | None, dataset: Dataset) -> Teacher | None:
    if package is None and recipe.taught:
        raise TrainingError(
            f"recipe {recipe.name}: --teacher is missing; it names the folder of the package that teaches it"
        )
    if package is not None and not recipe.taught:
        raise TrainingError(f"--teacher {package}: recipe {recipe.name} has no teacher")
    return open_teacher(package, dataset) if package else None


def evaluate_mirrored(model: keras.Model, scores: np.ndarray, test: Rows) -> dict[str, float]:
    """Accuracy of the mean of `scores` [rows, classes] and of those for the images mirrored left to right."""
    mean = scores + predict(model, test.inputs[:, :, ::-1])
    return {MIRRORED: float(np.mean(decide(mean) == test.truth))}
