"""`signet-train`: train a task's recipe and publish the model package; and the verbs sweep, report and seal.

Owns the flags of a run and the exit codes: 0, 1 for an error that has a text, 2 for bad flags, 130 for Ctrl-C.
"""

import argparse
import importlib
import shlex
import sys
from pathlib import Path

from training.flags import add_recipe_flags, find_recipe, minutes, whole
from training.task import TrainingError
from training.tasks import left_out

VERBS = {
    "sweep": ("training.sweep", "train a recipe with many seeds, side by side, and tell the spread"),
    "report": ("training.report_index", "an index page over every package of a repository"),
    "seal": ("training.seal", "make a package of a Keras or ONNX model from elsewhere"),
}
"""A verb's module, whose `main(arguments)` it is, and what it does."""


EXTRA = ("jinja2", "jsonschema", "keras", "matplotlib", "onnx", "tensorflow", "tf2onnx")
"""What only the extra `train` installs."""


def main() -> None:
    """Run `signet-train`."""
    arguments = sys.argv[1:]
    try:
        if arguments and arguments[0] in VERBS:
            sys.exit(importlib.import_module(VERBS[arguments[0]][0]).main(arguments[1:]))
        else:
            _train(arguments)
    except TrainingError as error:
        sys.exit(f"signet-train: {error}")
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.exit(f"signet-train: {error.name} is not installed; training needs the extra: pip install 'signet[train]'")
    except KeyboardInterrupt:
        sys.exit(130)


def _train(arguments: list[str]) -> None:
    for sentence in left_out():
        print(f"signet-train: {sentence}", file=sys.stderr)
    parser = _parser()
    flags = parser.parse_args(arguments)
    task, recipe = find_recipe(parser, flags)
    # Imported only now, so that --help and bad flags answer at once.
    from rich.console import Console  # noqa: PLC0415

    from training.run import RunOptions, run  # noqa: PLC0415

    options = RunOptions(
        repository=flags.out,
        command=shlex.join(["signet-train", *arguments]),
        data=flags.data,
        seed=flags.seed,
        epochs=flags.epochs,
        budget_minutes=flags.budget_minutes,
        checkpoints=flags.checkpoints,
        fresh=flags.fresh,
        results=flags.results if flags.record else None,
        quantize=flags.quantize == "int8",
        teacher=flags.teacher,
    )
    folder = run(task, recipe, options, Console())
    print(f"package: {folder}")
    print(f"report: {folder / 'report' / 'report.html'}")


def _parser() -> argparse.ArgumentParser:
    verbs = "\n".join(f"  {verb:8}{does}" for verb, (_, does) in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="signet-train",
        description="Train a task's recipe on real data and publish the model as the next version of its package.",
        epilog=f"verbs, each with its own --help:\n{verbs}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_flags(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("models"), metavar="DIR", help="the repository (default: models)"
    )
    parser.add_argument("--seed", type=whole(0), metavar="N", help="of every random draw (default: the recipe's)")
    parser.add_argument(
        "--quantize",
        choices=("int8",),
        help="publish an INT8 version too, as the one after, if it loses at most 0.2 points on the test split",
    )
    parser.add_argument(
        "--budget-minutes",
        type=minutes,
        metavar="M",
        help="train no longer: a short fit measures an epoch, then as many as fit are trained, at most --epochs "
        "or the recipe's; the test and the export come on top",
    )
    return parser


if __name__ == "__main__":
    main()
