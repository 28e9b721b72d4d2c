"""What LoadModel and UnloadModel asked for, in one file that every process of a repository follows.

Owns the file: its form, its atomic change, its comparison with what was applied. Does not know how a version is loaded.

    {"schema": 1, "revision": 7, "models": {"shades": {"versions": [2]}, "sums": {"versions": []}}}

A model that is named has exactly these versions READY, none if the list is empty; of one that is not named, the scan
decides. Each change raises `revision` by one. What a later schema adds to a model is kept when an entry is replaced.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from serving.repository.manifest_limits import MODEL_NAME

if sys.platform != "win32":
    import fcntl

FILE = "desired_state.json"

Version = Annotated[int, Field(ge=1)]
Stamp = tuple[int, int, int] | None
"""Modification time, inode and size of the file; None if there is none."""


class StateBroken(Exception):
    """The file is not what this server writes; the text names it and what is wrong."""


def _model_name(name: str) -> str:
    if not MODEL_NAME.fullmatch(name):
        raise ValueError("no model name")
    return name


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    versions: list[Version]


class _Document(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    schema_: Literal[1] = Field(alias="schema")
    revision: Annotated[int, Field(ge=0)]
    models: dict[Annotated[str, AfterValidator(_model_name)], _Model]


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The versions wanted READY of each model that was controlled; revision 0 is before any control."""

    revision: int = 0
    models: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def changed_since(self, before: "DesiredState") -> dict[str, frozenset[int]]:
        """The models of which other versions are wanted than `before`."""
        return {name: wanted for name, wanted in self.models.items() if before.models.get(name) != wanted}


class StateFile:
    """`desired_state.json` in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def stamp(self) -> Stamp:
        """What differs after each change of the file."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def read(self) -> DesiredState:
        """What is wanted; raises StateBroken, OSError."""
        document = self._document()
        wanted = {name: frozenset(entry["versions"]) for name, entry in document["models"].items()}
        return DesiredState(document["revision"], wanted)

    def change(self, name: str, versions: frozenset[int]) -> int:
        """Want exactly `versions` of a model from now on; the new revision. Raises StateBroken, OSError.

        Processes that change the file at once wait for each other; readers see the old file or the new one.
        """
        with self._alone():
            document = self._document()
            document["revision"] += 1
            document["models"].setdefault(name, {})["versions"] = sorted(versions)
            self._replace(json.dumps(document, indent=2) + "\n")
            return int(document["revision"])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # The file itself is replaced by each change, so it cannot carry the lock.
        with self.path.with_suffix(".lock").open("w") as lock:
            if sys.platform != "win32":
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _document(self) -> dict[str, Any]:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {"schema": 1, "revision": 0, "models": {}}
        try:
            return _Document.model_validate_json(text).model_dump(by_alias=True)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the file"
            raise StateBroken(f"{self.path}: {where}: {fault['msg']}") from error

    def _replace(self, text: str) -> None:
        handle, temporary = tempfile.mkstemp(prefix=f".{FILE}.", dir=self.path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(self.path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
