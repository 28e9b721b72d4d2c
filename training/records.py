"""`make records`: trains the recipes whose results are recorded and take long, one after the other, and records each.

Owns which they are, their order, and which are there already. Does not know how a recipe is trained: each run is
`signet-train` in a process of its own, so that it goes on from its checkpoint if it was stopped.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from training.manifest_writer import read_manifest
from training.results import FOLDER, duration, read_result
from training.staging import versions
from training.task import TrainingError


@dataclass(frozen=True)
class RecordedRun:
    """A recipe to train and record; `flags` for `signet-train`, `teacher` the recipe whose package teaches it."""

    task: str
    recipe: str
    flags: tuple[str, ...] = ()
    teacher: str = ""


INT8 = ("--quantize", "int8")
RUNS = (
    RecordedRun("fashion_mnist", "quick"),
    RecordedRun("fashion_mnist", "vgg7"),
    RecordedRun("fashion_mnist", "vgg7_augmented", INT8),
    RecordedRun("fashion_mnist", "resnet", INT8),
    RecordedRun("fashion_mnist", "quick_distilled", teacher="resnet"),
)


@dataclass(frozen=True)
class Places:
    """Where packages and results go, and further flags that every run gets. `again`: train what is there already."""

    repository: Path
    results: Path
    flags: tuple[str, ...] = ()
    again: bool = False


def train_records(runs: Sequence[RecordedRun], places: Places, console: Console) -> None:
    """Train each of `runs` that has no package in the repository. Raises TrainingError if one fails."""
    for run in runs:
        console.print(f"{run.task} {run.recipe}: {_outlook(run, places)}", highlight=False, soft_wrap=True)
    for number, run in enumerate(runs, 1):
        if _is_there(run, places):
            continue
        command = training_command(run, places)
        shown = " ".join(command)
        console.print(f"\n{number} of {len(runs)}: signet-train {shown}", markup=False, highlight=False, soft_wrap=True)
        ended = subprocess.run([sys.executable, "-m", "training", *command], check=False)  # noqa: S603 - this program
        if ended.returncode:
            raise TrainingError(
                f"{run.task} {run.recipe} ended with {ended.returncode}; once that is mended, the same command goes on"
            )


def training_command(run: RecordedRun, places: Places) -> list[str]:
    """The words behind `signet-train`. Raises TrainingError if the package that teaches is not there."""
    command = [run.task, "--recipe", run.recipe, "--out", str(places.repository), *run.flags, *places.flags]
    command += ["--record", "--results", str(places.results)]
    if run.teacher:
        package = newest_package(places.repository / run.task, run.teacher)
        if package is None:
            raise TrainingError(f"{run.recipe} is taught by {run.teacher}, which has no package in {places.repository}")
        command += ["--teacher", str(package)]
    return command


def newest_package(model_folder: Path, recipe: str) -> Path | None:
    """The newest version in `model_folder` that `recipe` made; None if it made none."""
    for version in reversed(versions(model_folder)):
        folder = model_folder / str(version)
        if (read_manifest(folder) or {}).get("recipe") == recipe:
            return folder
    return None


def main(arguments: Sequence[str]) -> int:
    """Run `make records`; give the exit code."""
    parser = argparse.ArgumentParser(prog="records", description="Train the long recipes and record them: hours.")
    parser.add_argument("--out", type=Path, default=Path("models"), metavar="DIR", help="the repository")
    parser.add_argument("--results", type=Path, default=FOLDER, metavar="DIR", help="the folder of recorded results")
    parser.add_argument("--data", metavar="PATH", help="a folder with the four IDX files of Fashion-MNIST")
    parser.add_argument("--again", action="store_true", help="train those too that have a package")
    flags = parser.parse_args(arguments)
    places = Places(flags.out, flags.results, ("--data", flags.data) if flags.data else (), again=flags.again)
    console = Console()
    console.print("This takes hours. Stopped, the same command goes on where it was.")
    try:
        train_records(RUNS, places, console)
    except TrainingError as error:
        sys.stderr.write(f"records: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    console.print("\nREADME's table: python -m training.results; the packages are verified by make records-check")
    return 0


def _is_there(run: RecordedRun, places: Places) -> bool:
    return not places.again and newest_package(places.repository / run.task, run.recipe) is not None


def _outlook(run: RecordedRun, places: Places) -> str:
    if _is_there(run, places):
        return f"is there, {newest_package(places.repository / run.task, run.recipe)}; --again trains it again"
    path = FOLDER / f"{run.task}_{run.recipe}.json"
    recorded = read_result(path).get("run") if path.exists() else None
    if not recorded:
        return "to be trained; how long it takes was never recorded"
    return f"to be trained, as recorded in {duration(recorded['seconds'])} on {recorded['machine']['cores']} cores"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
