"""The checkpoint of a run: a file from which the same command goes on after a stop, with the same result.

Owns the file, its name, and when it is written. Does not know nets; what it keeps of a fit is arrays and numbers.
"""

import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.task import FitState, TrainingError

LEAST_SECONDS_BETWEEN = 1.0
TIMES_ITS_COST = 20.0
"""A checkpoint is written at the earliest when the one before has cost less than a twentieth of the time since: for the
smallest nets it takes longer than an epoch."""
LEFT_SECONDS = 3600.0
"""A half-written file as old as this belongs to no living run."""


@dataclass(frozen=True)
class SavedRun:
    """What a checkpoint holds: the fit's state, the number of epochs that the run decided on, and the time it took."""

    state: FitState
    epochs: int
    seconds: float
    augment_seconds: float


class Checkpoint:
    """The one checkpoint of a run, known by its `identity`: another run has another file and never reads this one.

    `identity`: what the result depends on, as JSON can write it. `name`: how the file's name begins, for people.
    """

    def __init__(self, folder: Path, name: str, identity: Mapping[str, Any]) -> None:
        text = json.dumps(identity, sort_keys=True)
        self._identity = hashlib.sha256(text.encode("utf-8")).hexdigest()
        self.path = folder / f"{name}-{self._identity[:16]}.npz"
        self._next = float("-inf")

    def read(self) -> SavedRun | None:
        """What the run left here; None if it left nothing. Raises TrainingError naming the file if it is broken."""
        if not self.path.exists():
            return None
        try:
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                told = json.loads(str(file["told"]))
                arrays = {
                    name: [file[f"{name}.{index}"] for index in range(count)] for name, count in told["arrays"].items()
                }
            state = FitState(told["epoch"], told["history"], arrays, told["generator"])
            saved = SavedRun(state, told["epochs"], told["seconds"], told["augment_seconds"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise TrainingError(f"{self.path}: no checkpoint, or a broken one; --fresh begins anew") from error
        if told["identity"] != self._identity:
            raise TrainingError(f"{self.path}: the checkpoint of another run; --fresh begins anew")
        return saved

    def due(self, *, last: bool) -> bool:
        """Whether to write now: after the first epoch, after each that is long enough, and after the last."""
        return last or time.monotonic() >= self._next

    def write(self, saved: SavedRun) -> None:
        """Put `saved` in the place of what is there, in one step. Raises TrainingError naming the file."""
        state = saved.state
        told = {
            "identity": self._identity,
            "epoch": state.epoch,
            "epochs": saved.epochs,
            "seconds": saved.seconds,
            "augment_seconds": saved.augment_seconds,
            "history": state.history,
            "generator": state.generator,
            "arrays": {name: len(arrays) for name, arrays in state.arrays.items()},
        }
        arrays: dict[str, Any] = {
            f"{name}.{index}": array for name, those in state.arrays.items() for index, array in enumerate(those)
        }
        began = time.monotonic()
        self._replace(lambda file: np.savez(file, told=np.array(json.dumps(told)), **arrays))
        now = time.monotonic()
        self._next = now + max(LEAST_SECONDS_BETWEEN, TIMES_ITS_COST * (now - began))

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)

    def _replace(self, write: Callable[[Any], None]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_left()
            descriptor, beside = tempfile.mkstemp(dir=self.path.parent, prefix=self._left_prefix)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                Path(beside).replace(self.path)
            finally:
                Path(beside).unlink(missing_ok=True)
        except OSError as error:
            raise TrainingError(
                f"{self.path}: the checkpoint could not be written: {error.strerror}; "
                "--checkpoints names another folder"
            ) from error

    @property
    def _left_prefix(self) -> str:
        return f".{self.path.stem}."

    def _remove_left(self) -> None:
        """Remove what runs that were killed while they wrote have left."""
        for left in self.path.parent.glob(f"{self._left_prefix}*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                    left.unlink()
