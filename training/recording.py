"""A run or a sweep in the words of a recorded result.

Owns which figures are kept and the command that gives them again. Does not know where results are shown.
"""

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.frameworks import framework_versions, source_revision
from training.results import machine, spread, write_result
from training.task import Recipe, RunRecord, Task


def record_run(task: Task, record: RunRecord, parameters: int, data: Path | None, folder: Path) -> Path:
    """Write what a published run of `task` gave into `folder`; give the file."""
    rows = len(record.dataset.test)
    command = ["signet-train", task.name, "--recipe", record.recipe.name, "--seed", str(record.seed)]
    if record.teacher:
        # A name within the repository, as the flag takes it where models/ is one.
        command += ["--teacher", f"models/{record.teacher['package']}"]
    told = {
        **_circumstances(record.recipe, command, record.epochs, data),
        "date": record.started.strftime("%Y-%m-%d"),
        "seed": record.seed,
        "parameters": parameters,
        "compute": record.compute,
        **({"teacher": dict(record.teacher)} if record.teacher else {}),
        "seconds": round(record.seconds, 1),
        "augment_share": round(record.augment_seconds / record.seconds, 4),
        "rows": {
            "train": len(record.dataset.train),
            "validation": len(record.dataset.validation),
            "test": rows,
        },
        "test": {
            "accuracy": record.metrics["accuracy"],
            "correct": round(record.metrics["accuracy"] * rows),
            "rows": rows,
        },
        "metrics": record.metrics,
    }
    return write_result(folder, task.name, record.recipe.name, {"run": told})


def record_sweep(
    task: Task,
    recipe: Recipe,
    done: Sequence[Mapping[str, Any]],
    seconds: float,
    data: Path | None,
    epochs: int | None,
    folder: Path,
) -> Path:
    """Write what each seed got, by rising seed, and the spread into `folder`; give the file."""
    command = ["signet-train", "sweep", task.name, "--recipe", recipe.name, "--seeds", str(len(done))]
    if done[0]["seed"] != 1:
        command += ["--first-seed", str(done[0]["seed"])]
    told = {
        **_circumstances(recipe, command, epochs or recipe.epochs, data),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seeds": len(done),
        "parameters": done[0]["parameters"],
        "seconds": round(seconds, 1),
        "accuracy": spread([one["accuracy"] for one in done]),
    }
    runs = [{name: value for name, value in one.items() if name != "parameters"} for one in done]
    return write_result(folder, task.name, recipe.name, {"sweep": told, "runs": runs})


def _circumstances(recipe: Recipe, command: list[str], epochs: int, data: Path | None) -> dict[str, Any]:
    if epochs != recipe.epochs:
        command = [*command, "--epochs", str(epochs)]
    if data:
        # Only its name: where it lay is nobody's business, and of no use elsewhere.
        command = [*command, "--data", data.name]
    return {
        "command": shlex.join(command),
        "summary": recipe.summary,
        "course_figure": recipe.course_figure,
        "epochs": epochs,
        "machine": machine(),
        "versions": framework_versions(),
        "source_revision": source_revision(),
    }
