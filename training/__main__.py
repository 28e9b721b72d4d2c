"""`signet-train`: train a task's recipe and publish the model package.

Owns flags and exit codes: 0, 1 for an error that has a text, 2 for bad flags, 130 for Ctrl-C.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# TensorFlow's C++ would tell of things that nobody can change.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

TASK_NAMES = ("pima", "shapes", "fashion_mnist")


def main() -> None:
    """Run `signet-train`."""
    parser = _parser()
    flags = parser.parse_args()
    # Imported only now, so that --help and bad flags answer at once.
    from rich.console import Console  # noqa: PLC0415

    with _silent_stderr():
        import tensorflow  # noqa: F401, ICN001, PLC0415
    from training.run import RunOptions, run  # noqa: PLC0415
    from training.task import TrainingError  # noqa: PLC0415
    from training.tasks import TASKS  # noqa: PLC0415

    task = TASKS[flags.task]
    name = flags.recipe or task.default_recipe
    if name not in task.recipes:
        parser.error(f"--recipe: {task.name} has no {name}; it has {', '.join(task.recipes)}")
    command = shlex.join(["signet-train", *sys.argv[1:]])
    options = RunOptions(flags.out, command, flags.data, flags.seed, flags.epochs)
    try:
        folder = run(task, task.recipes[name], options, Console())
    except TrainingError as error:
        sys.exit(f"signet-train: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"package: {folder}")
    print(f"report: {folder / 'report' / 'report.html'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signet-train",
        description="Train a task's recipe on real data and publish the model as the next version of its package.",
    )
    parser.add_argument("task", choices=TASK_NAMES, metavar="TASK", help=f"what to learn: {', '.join(TASK_NAMES)}")
    parser.add_argument("--recipe", metavar="NAME", help="how to train it; without this flag the task's default")
    parser.add_argument(
        "--out", type=Path, default=Path("models"), metavar="DIR", help="the repository (default: models)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="your data: pima, a CSV file; shapes, a folder or zip of train/ and test/<label>/*.png, of which recipe "
        "augmented takes the test drawings alone; fashion_mnist, a folder with the four IDX files",
    )
    parser.add_argument("--seed", type=_whole(0), metavar="N", help="of every random draw (default: the recipe's)")
    parser.add_argument("--epochs", type=_whole(1), metavar="N", help="passes over the data (default: the recipe's)")
    return parser


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


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} came; a whole number from {least} on was expected")
        return int(text)

    return parse


if __name__ == "__main__":
    main()
