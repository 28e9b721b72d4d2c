"""The recorded results: one JSON file a task and recipe, and the table of them all in README.md.

Owns the files' content and the table. Does not know how a result came about. `python -m training.results` prints the
table.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from training.task import TrainingError

FOLDER = Path(__file__).parent / "results"
HEADER = (
    "| task | recipe | parameters | test split | the course | seeds: median, lowest to highest | time |\n"
    "|---|---|---|---|---|---|---|\n"
)


def write_result(folder: Path, task: str, recipe: str, told: Mapping[str, Any]) -> Path:
    """Put `told` into `folder`/<task>_<recipe>.json; what stands there under other keys stays. Raises TrainingError.

    A run puts `run` there; a sweep puts `sweep`, and `runs`, a list of what each seed got.
    """
    path = folder / f"{task}_{recipe}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        result = read_result(path) if path.exists() else {}
        text = json.dumps({**result, "task": task, "recipe": recipe, **told}, indent=2, ensure_ascii=False)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(text + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise TrainingError(f"{path}: the result could not be written: {error.strerror}") from error
    return path


def read_result(path: Path) -> dict[str, Any]:
    """What `path` tells. Raises TrainingError naming it if it is no result."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: no result, or a broken one: {error}") from error
    if not isinstance(result, dict):
        raise TrainingError(f"{path}: {type(result).__name__} came; an object with task and recipe was expected")
    return result


def spread(accuracies: Sequence[float]) -> dict[str, float]:
    """Median, mean, lowest, highest, and the distance of the last two."""
    lowest, highest = min(accuracies), max(accuracies)
    return {
        "median": median(accuracies),
        "mean": fmean(accuracies),
        "lowest": lowest,
        "highest": highest,
        "spread": highest - lowest,
    }


def machine() -> dict[str, Any]:
    """The kind of this machine: its processor's model and the cores that this process may use."""
    return {"cpu": _cpu_model(), "cores": available_cores()}


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def results_table(folder: Path = FOLDER) -> str:
    """The results in `folder` as a Markdown table, by task and recipe."""
    lines = []
    for path in sorted(folder.glob("*.json")):
        try:
            lines.append(_line(read_result(path)))
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"{path}: not what a run or a sweep records: {error!r}") from error
    return HEADER + "".join(lines)


def _line(result: Mapping[str, Any]) -> str:
    run, sweep = result.get("run"), result.get("sweep")
    either = run or sweep or {}
    cells = (
        f"`{result['task']}`",
        f"`{result['recipe']}`",
        f"{either['parameters']:,}",
        _test(run) if run else "",
        either["course_figure"],
        _seeds(sweep) if sweep else "",
        duration(run["seconds"]) + f" on {run['machine']['cores']} cores" if run else "",
    )
    return "| " + " | ".join(cell or "-" for cell in cells) + " |\n"


def _test(run: Mapping[str, Any]) -> str:
    test, figures = run["test"], run["metrics"]
    told = f"**{test['accuracy']:.2%}** ({test['correct']:,} of {test['rows']:,}), seed {run['seed']}"
    if "cv_accuracy" in figures:
        told += f"; 10 x 10 folds: {figures['cv_accuracy']:.2%}, AUC {figures['cv_auc']:.3f}"
        told += f", Brier {figures['cv_brier']:.3f}"
    return told.replace("%", " %")


def _seeds(sweep: Mapping[str, Any]) -> str:
    figures = sweep["accuracy"]
    told = f"{figures['median']:.2%}, {figures['lowest']:.2%} to {figures['highest']:.2%}".replace("%", " %")
    return f"{sweep['seeds']} seeds: {told}"


def duration(seconds: float) -> str:
    """The time in words: 50 s, 14 min, 2 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


if __name__ == "__main__":
    try:
        sys.stdout.write(results_table())
    except TrainingError as wrong:
        sys.exit(str(wrong))
