"""The fit of a run: its number of epochs, its checkpoint, its progress.

Owns what a run does so that it can be stopped and go on. Does not know how a model is trained, nor what becomes of it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

from training.budget import epochs_within
from training.checkpoint import Checkpoint, SavedRun
from training.frameworks import framework_versions
from training.precision import BFLOAT16, FLOAT32, computes_in, computing_in
from training.progress import FitProgress
from training.seeding import seed_everything
from training.task import Dataset, FitOptions, FitState, History, Recipe, Task
from training.teacher import Teacher


@dataclass(frozen=True)
class FitSettings:
    """How to fit: `epochs` at most, fewer if `budget_minutes` says so; `checkpoints` is the folder, None keeps none.

    `fresh`: begin anew even if there is a checkpoint. `teacher`: what teaches a recipe that is taught.
    """

    seed: int
    epochs: int
    budget_minutes: float | None = None
    checkpoints: Path | None = None
    fresh: bool = False
    teacher: Teacher | None = None


@dataclass(frozen=True)
class Fitted:
    """A trained model in float32, fitted in `compute`.

    `seconds` of the fit, and of them those to augment, over all parts of a run that was stopped.
    """

    model: keras.Model
    history: History
    epochs: int
    seconds: float
    augment_seconds: float
    compute: str


def checkpoint_of(task: Task, recipe: Recipe, dataset: Dataset, settings: FitSettings) -> Checkpoint | None:
    """The checkpoint that belongs to this run and to no other; None if none is wanted."""
    if settings.checkpoints is None:
        return None
    identity = {
        "task": task.name,
        "recipe": recipe.name,
        "batch_rows": recipe.batch_rows,
        "seed": settings.seed,
        "epochs": settings.epochs,
        "budget_minutes": settings.budget_minutes,
        "data": data_digest(dataset),
        "frameworks": framework_versions(),
    }
    if computes_in(recipe.compute) != FLOAT32:
        identity["compute"] = BFLOAT16
    if settings.teacher:
        identity["teacher"] = settings.teacher.told["sha256"]
    name = f"{task.name}-{recipe.name}-seed{settings.seed}"
    checkpoint = Checkpoint(settings.checkpoints, name, identity)
    if settings.fresh:
        checkpoint.remove()
    return checkpoint


def fit_recipe(
    recipe: Recipe, dataset: Dataset, settings: FitSettings, checkpoint: Checkpoint | None, console: Console
) -> Fitted:
    """Build the recipe's model and train it, from the checkpoint on if it was written. Raises TrainingError."""
    saved = checkpoint.read() if checkpoint else None
    compute = _compute(recipe, console)
    with computing_in(compute):
        epochs = saved.epochs if saved else _epochs(recipe, dataset, settings, console)
        # Anew, so that neither loading nor measuring has a part in what the seed gives.
        seed_everything(settings.seed)
        model = recipe.build(dataset)
    console.print(
        f"recipe {recipe.name}: {model.count_params():,} parameters, {epochs} epochs, seed {settings.seed}, {compute}"
    )
    if settings.teacher:
        console.print(f"taught by {settings.teacher.told['package']}, which answers every training image first")
    progress = FitProgress(epochs, len(dataset.train), console)
    if saved and checkpoint:
        console.print(f"goes on after epoch {saved.state.epoch} from {checkpoint.path}", markup=False, soft_wrap=True)
        progress = FitProgress(
            epochs, len(dataset.train), console, saved.state.epoch, saved.seconds, saved.augment_seconds
        )

    def keep(epoch: int, state: Callable[[], FitState]) -> None:
        if checkpoint and checkpoint.due(last=epoch == epochs):
            checkpoint.write(SavedRun(state(), epochs, progress.seconds, progress.augment_seconds))

    with progress:
        options = FitOptions(
            epochs=epochs,
            seed=settings.seed,
            on_epoch=progress.epoch,
            on_rows=progress.rows,
            on_augment=progress.augmented,
            on_state=keep,
            resumed=saved.state if saved else None,
            teacher=settings.teacher.answers if settings.teacher else None,
        )
        history = recipe.fit(model, dataset, options)
        seconds = progress.seconds
    console.print(f"fit: {seconds:.1f} s, {progress.augment_seconds / seconds:.1%} of it to augment", highlight=False)
    if compute != FLOAT32:
        model = _in_float32(model, recipe, dataset)
    return Fitted(model, history, epochs, seconds, progress.augment_seconds, compute)


@contextmanager
def telling_where_to_go_on(checkpoint: Checkpoint | None, console: Console) -> Iterator[None]:
    """If Ctrl-C comes, say whether the same command goes on from a checkpoint."""
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint and checkpoint.path.exists():
            console.print(f"stopped: the same command goes on from {checkpoint.path}", markup=False, soft_wrap=True)
        else:
            console.print("stopped before there was a checkpoint: the same command begins anew")
        raise


def data_digest(dataset: Dataset) -> str:
    """SHA-256 of every row of the three splits and of class_indices."""
    digest = hashlib.sha256(json.dumps(dict(dataset.class_indices), sort_keys=True).encode("utf-8"))
    for rows in (dataset.train, dataset.validation, dataset.test):
        for array in (rows.inputs, rows.truth):
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _compute(recipe: Recipe, console: Console) -> str:
    compute = computes_in(recipe.compute)
    if compute != recipe.compute:
        console.print(f"this processor does not compute in {recipe.compute}: the fit is in {compute} and takes longer")
    return compute


def _in_float32(model: keras.Model, recipe: Recipe, dataset: Dataset) -> keras.Model:
    """The same net with the same weights, which is tested and exported, whatever it was fitted in."""
    same = recipe.build(dataset)
    same.set_weights(model.get_weights())
    return same


def _epochs(recipe: Recipe, dataset: Dataset, settings: FitSettings, console: Console) -> int:
    if settings.budget_minutes is None:
        return settings.epochs
    seed_everything(settings.seed)
    teacher = settings.teacher.answers if settings.teacher else None
    fitting, seconds = epochs_within(recipe, dataset, 60 * settings.budget_minutes, settings.seed, teacher)
    epochs = min(fitting, settings.epochs)
    console.print(
        f"budget: {settings.budget_minutes:g} minutes at {seconds:.3g} s an epoch, as a short fit measured: "
        f"{epochs} of {settings.epochs} epochs, the schedule scaled to them",
        highlight=False,
    )
    return epochs
