"""The flags that training a recipe takes, once or for many seeds.

Owns their names, what they accept, and how a recipe is found by its name. Does not know what is done with them.
Imported before TensorFlow, so that --help and bad flags answer at once.
"""

import argparse
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from training.datasets.sources import cache_folder
from training.results import FOLDER
from training.tasks import TASKS

if TYPE_CHECKING:
    from training.task import Recipe, Task

# TensorFlow's C++ would tell of things that nobody can change.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    """Add which recipe of which task, on which data, and where its checkpoints and its result are kept."""
    names = tuple(TASKS)
    parser.add_argument("task", choices=names, metavar="TASK", help=f"what to learn: {', '.join(names)}")
    parser.add_argument("--recipe", metavar="NAME", help="how to train it; without this flag the task's default")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="your data: pima, a CSV file; shapes, a folder or zip of train/ and test/<label>/*.png, of which recipe "
        "augmented takes the test drawings alone; fashion_mnist, a folder with the four IDX files",
    )
    parser.add_argument("--epochs", type=whole(1), metavar="N", help="passes over the data (default: the recipe's)")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=cache_folder() / "checkpoints",
        metavar="DIR",
        help="where a run is kept while it trains, so that after a stop the same command goes on "
        "(default: checkpoints in SIGNET_CACHE, else in the user's cache folder)",
    )
    parser.add_argument("--fresh", action="store_true", help="begin anew even if a checkpoint of the same run is there")
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="PACKAGE",
        help="the folder of the package whose soft answers teach a recipe that is taught: models/fashion_mnist/7",
    )
    parser.add_argument("--record", action="store_true", help="record the result in the folder of --results")
    parser.add_argument(
        "--results",
        type=Path,
        default=FOLDER,
        metavar="DIR",
        help="the folder of recorded results (default: that of the source, training/results)",
    )


def find_recipe(parser: argparse.ArgumentParser, flags: argparse.Namespace) -> tuple["Task", "Recipe"]:
    """The task and recipe that the flags name; this imports TensorFlow. Ends the program if there is no such recipe."""
    import_tensorflow()
    task = TASKS[flags.task]
    name = flags.recipe or task.default_recipe
    if name not in task.recipes:
        parser.error(f"--recipe: {task.name} has no {name}; it has {', '.join(task.recipes)}")
    return task, task.recipes[name]


def import_tensorflow() -> None:
    """Import TensorFlow without what its C++ writes meanwhile."""
    with _silent_stderr():
        import tensorflow  # noqa: F401, ICN001, PLC0415


def whole(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` on."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} came; a whole number from {least} on was expected")
        return int(text)

    return parse


def minutes(text: str) -> float:
    """A parser of durations in minutes."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} came; a number of minutes above 0 was expected")
    return number


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Send to nowhere what C++ writes: TensorFlow's import logs before it has read its log level."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
