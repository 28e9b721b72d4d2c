"""The tasks by name: the built-in ones, and those of installed packages with an entry point in the group signet.tasks.

A built-in task's file begins with its command, its time, and its expected result. A task is imported when it is asked
for, so that names alone cost nothing and a broken package breaks no other task.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from training.task import Task, TrainingError

GROUP = "signet.tasks"
VERBS = ("report", "seal", "sweep")
"""Names that `signet-train` takes for something else than a task."""

_BUILT_IN = {
    "pima": "training.tasks.pima:PIMA",
    "shapes": "training.tasks.shapes:SHAPES",
    "fashion_mnist": "training.tasks.fashion_mnist:FASHION_MNIST",
    "stacking": "training.tasks.stacking:STACKING",
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class _Tasks(Mapping[str, Task]):
    """Names to tasks. An item raises TrainingError if its package is broken, KeyError if there is no such task."""

    def __getitem__(self, name: str) -> Task:
        point = _points()[name]
        try:
            task = point.load()
        except Exception as error:
            raise TrainingError(f"{_told(point)} cannot be imported: {type(error).__name__}: {error}") from error
        if not isinstance(task, Task):
            raise TrainingError(f"{_told(point)} is of type {type(task).__name__}, expected training.task.Task")
        if task.name != name:
            raise TrainingError(f"{_told(point)} has the name {task.name!r}, expected {name!r} as its entry point")
        return task

    def __iter__(self) -> Iterator[str]:
        return iter(_points())

    def __len__(self) -> int:
        return len(_points())


TASKS: Mapping[str, Task] = _Tasks()


def left_out() -> list[str]:
    """Why an installed package's task is not among TASKS, a sentence each."""
    sentences = []
    taken = dict.fromkeys(_BUILT_IN, "a built-in task") | dict.fromkeys(VERBS, "a verb of signet-train")
    for point in entry_points(group=GROUP):
        if not _NAME.fullmatch(point.name):
            sentences.append(f"{_told(point)} is left out: a name has letters, digits, '_', '.' and '-'")
        elif point.name in taken:
            sentences.append(f"{_told(point)} is left out: the name is taken by {taken[point.name]}")
        else:
            taken[point.name] = _told(point)
    return sentences


def _points() -> dict[str, EntryPoint]:
    points = {name: EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()}
    for point in entry_points(group=GROUP):
        if point.name not in VERBS and _NAME.fullmatch(point.name):
            points.setdefault(point.name, point)
    return points


def _told(point: EntryPoint) -> str:
    source = f" of {point.dist.name}" if point.dist else ""
    return f"task {point.name} ({GROUP}{source}: {point.value})"
