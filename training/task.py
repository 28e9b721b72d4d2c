"""What a task fills in: data, recipes, and the words that its package carries.

Owns the dataclasses that the training package hands from step to step. Does not know how any of the steps works.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras


class TrainingError(Exception):
    """What went wrong, in words for the user: the field or file, what came and what was expected."""


@dataclass(frozen=True)
class Rows:
    """Examples: `inputs` [rows, ...] in the dtype that the model takes, `truth` [rows] int64 class indices."""

    inputs: NDArray[Any]
    truth: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, index: Any) -> "Rows":  # noqa: ANN401 - whatever indexes an array
        """The rows that `index` selects, in its order."""
        return Rows(self.inputs[index], self.truth[index])

    @classmethod
    def together(cls, parts: Sequence["Rows"]) -> "Rows":
        """The rows of all parts, one after the other."""
        return cls(np.concatenate([one.inputs for one in parts]), np.concatenate([one.truth for one in parts]))


@dataclass(frozen=True)
class Dataset:
    """The splits of one data set. `source` says where the rows were found, for the report."""

    train: Rows
    validation: Rows
    test: Rows
    class_indices: Mapping[str, int]
    source: str

    @property
    def labels(self) -> list[str]:
        """The labels in the order of their class index."""
        return sorted(self.class_indices, key=self.class_indices.__getitem__)


History = dict[str, list[float]]
"""A list of one figure an epoch, by name: loss, accuracy, val_loss, val_accuracy as the fit measured them."""


@dataclass(frozen=True)
class FitState:
    """All that the epoch after `epoch` starts from, so that a fit can go on in another process with the same result.

    `arrays`: the values of the model's variables, the optimizer's, and so on, by name. `generator`: the state of the
    NumPy generator that shuffles and augments.
    """

    epoch: int
    history: History
    arrays: Mapping[str, Sequence[NDArray[Any]]]
    generator: Mapping[str, Any]


@dataclass(frozen=True)
class FitOptions:
    """What a run may set: `epochs` and `seed` as resolved from flags and recipe, and who is told of progress.

    `on_rows(rows)`: so many more rows were trained on. `on_epoch(epoch, epochs, figures)`: an epoch has ended; `epoch`
    counts from 1, figures are floats by name (loss, accuracy, val_loss, val_accuracy). `on_augment(seconds)`: so long
    it took to augment. `on_state(epoch, state)`: `state()` gives what the next epoch starts from, if it is wanted.
    `resumed`: the state to go on from. `teacher`: gives its soft answers [rows, classes] to a recipe that is
    taught.
    """

    epochs: int
    seed: int
    on_epoch: Callable[[int, int, Mapping[str, float]], None]
    on_rows: Callable[[int], None]
    on_augment: Callable[[float], None] = lambda _: None
    on_state: Callable[[int, Callable[[], FitState]], None] = lambda *_: None
    resumed: FitState | None = None
    teacher: Callable[[NDArray[Any]], NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class Recipe:
    """One way to train a task's model.

    `build` gives a model whose input is raw rows as clients send them (pixels uint8, features float32) and whose output
    is probabilities, so that what normalises them is in the graph. `fit` trains it in place. `load` is there if the
    recipe takes other data than its task. `augment` is what `fit` does to training images before each epoch, for the
    report's sheet of them; a recipe whose training images are themselves drawn gives them back as they are.
    `compute`: "float32", or "bfloat16" where the processor computes in it; weights and package are float32 either way.
    `course_figure`: what the course got with the same recipe, in words. `package`: fields of the task that the packages
    of this recipe state otherwise. `cross_validated`: the table is so small that its figures come from 10 x 10 folds.
    `mirrors`: it trains on mirrored images too, and so its report tells, beside the accuracy, that of the mean of the
    answers for an image and its mirror image. `taught`: it learns from the soft answers of a package, its teacher.
    """

    name: str
    summary: str
    epochs: int
    batch_rows: int
    seed: int
    build: Callable[[Dataset], "keras.Model"]
    fit: Callable[["keras.Model", Dataset, FitOptions], History]
    load: Callable[[Path | None, int], Dataset] | None = None
    augment: Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]] | None = None
    compute: str = "float32"
    course_figure: str = ""
    package: Mapping[str, Any] = field(default_factory=dict)
    cross_validated: bool = False
    mirrors: bool = False
    taught: bool = False


@dataclass(frozen=True)
class Task:
    """A learning task: where its rows come from, what its package says of itself, and its recipes.

    `load(data, seed)`: `data` is the folder or file that `--data` named, or None.
    `preprocessing` and `decision` are those parts of the manifest (protos/manifest.schema.json).
    """

    name: str
    title: str
    input_name: str
    output_name: str
    load: Callable[[Path | None, int], Dataset]
    decision: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    recipes: Mapping[str, Recipe]
    default_recipe: str
    course_figure: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One finished training run, as export and report need it.

    `scores` [test rows, classes or 1] float32: Keras' outputs on `dataset.test`. `started` in UTC. `seconds` to fit and
    test, over all parts of a run that was stopped, and of them `augment_seconds` to augment. `compute`: in which
    numbers it was fitted. `teacher`: package, recipe and sha256 of what taught it, empty if nothing did.
    """

    task: Task
    recipe: Recipe
    dataset: Dataset
    history: History
    metrics: dict[str, float]
    scores: NDArray[np.float32]
    command: str
    seed: int
    epochs: int
    started: datetime
    seconds: float
    augment_seconds: float = 0.0
    compute: str = "float32"
    teacher: Mapping[str, Any] = field(default_factory=dict)
