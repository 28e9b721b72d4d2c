"""What control asked for, in one file that every process of a repository follows.

Owns the file: its form, its atomic change, its comparison with what was applied. Does not know how a version is loaded.

    {"schema": 1, "revision": 7, "models": {
        "shades": {"versions": [2], "labels": {"stable": 2}},
        "shapes": {"policy": "specific:2,3", "labels": {"stable": 2, "canary": 3}, "split": {"canary": 10}},
        "sums": {"versions": []}}}

A model with `versions` has exactly these READY, none if the list is empty; one with `policy` those that the policy
wants of the versions on disk; any other those that the server's own policy wants. Versions that have a label are READY
besides. The file may be edited by hand, as a configuration: it is followed when it is replaced. Each change by control
raises `revision` by one. What a later server adds to a model is kept.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from serving.errors import ServingError
from serving.repository.manifest_limits import MODEL_NAME, MODEL_NAME_IN_WORDS
from serving.repository.policy import VersionPolicy, parse_policy
from serving.repository.traffic import Traffic, check_label
from serving.stated import Fault, Misstated, read_object, read_struct

if sys.platform != "win32":
    import fcntl

FILE = "desired_state.json"

Version = Annotated[int, Meta(ge=1)]

Stamp = tuple[int, int, int] | None
"""Modification time, inode and size of the file; None if there is none."""


class StateBroken(Exception):
    """The file is not what this server writes; the text names it and what is wrong."""


class _Model(Struct):
    versions: list[Version] | None = None
    policy: str | None = None
    labels: dict[str, Version] = {}
    split: dict[str, float] = {}

    def __post_init__(self) -> None:
        if self.versions is not None and self.policy is not None:
            raise ValueError("versions and policy came; one of them was expected")
        try:
            for name in (*self.labels, *self.split):
                check_label(name)
            Traffic(self.labels).divided("it", self.split)
        except ServingError as error:
            raise ValueError(str(error)) from error


class _Document(Struct):
    schema: Literal[1]
    revision: Annotated[int, Meta(ge=0)]
    models: dict[str, _Model]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of one model: exactly `versions`, or those of `policy`, or neither; and those with labels."""

    versions: frozenset[int] | None = None
    policy: VersionPolicy | None = None
    traffic: Traffic = field(default_factory=Traffic)

    def wanted(self, default: VersionPolicy, available: Collection[int]) -> frozenset[int]:
        """The versions that should be READY if those `available` are all that can be loaded by a policy."""
        chosen = (self.policy or default).wanted(available) if self.versions is None else self.versions
        return chosen.union(self.traffic.labels.values())

    def with_versions_of(self, other: "Wish") -> "Wish":
        """The versions or the policy of `other`, with the traffic of this one."""
        return replace(self, versions=other.versions, policy=other.policy)


Edit = Callable[[Wish], Wish]
"""A change of what is wanted; raises the errors of `serving.errors` where it cannot be."""


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What is wanted of each model that was controlled; revision 0 is before any control."""

    revision: int = 0
    models: Mapping[str, Wish] = field(default_factory=dict)

    def changed_since(self, before: "DesiredState") -> dict[str, Wish]:
        """The models of which something else is wanted than `before`; nothing of those that are named no more."""
        names = {**before.models, **self.models}
        wishes = {name: (before.models.get(name, Wish()), self.models.get(name, Wish())) for name in names}
        return {name: now for name, (old, now) in wishes.items() if now != old}


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
        return DesiredState(document["revision"], {name: _wish(entry) for name, entry in document["models"].items()})

    def change(self, name: str, edit: Edit) -> tuple[int, Wish]:
        """Edit what is wanted of a model; the new revision and wish. Raises StateBroken, OSError, what `edit` does.

        Processes that change the file at once wait for each other; readers see the old file or the new one.
        """
        with self._alone():
            document = self._document()
            entry = document["models"].get(name, {})
            wish = edit(_wish(entry))
            parts = {**entry, **_entry(wish)}
            document["models"][name] = {key: value for key, value in parts.items() if value is not None}
            document["revision"] += 1
            self._replace(json.dumps(document, indent=2) + "\n")
            return int(document["revision"]), wish

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
            document = read_object(text)
            read_struct(_Document, document, faults=_limit_faults(document))
        except Misstated as error:
            raise StateBroken(f"{self.path}: {error}") from error
        return document

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


def _limit_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong beside what the types say: names of models, and policies."""
    models = document.get("models")
    for name, model in models.items() if isinstance(models, dict) else ():
        if not MODEL_NAME.fullmatch(name):
            yield Fault(f"models.{name}", f"no model name; {MODEL_NAME_IN_WORDS} was expected")
        if isinstance(model, dict) and isinstance(policy := model.get("policy"), str):
            try:
                parse_policy(policy)
            except ValueError as error:
                yield Fault(f"models.{name}.policy", str(error))


def _wish(entry: Mapping[str, Any]) -> Wish:
    versions, policy = entry.get("versions"), entry.get("policy")
    return Wish(
        None if versions is None else frozenset(versions),
        None if policy is None else parse_policy(policy),
        Traffic(entry.get("labels", {}), entry.get("split", {})),
    )


def _entry(wish: Wish) -> dict[str, Any]:
    return {
        "versions": None if wish.versions is None else sorted(wish.versions),
        "policy": None if wish.policy is None else str(wish.policy),
        "labels": dict(wish.traffic.labels) or None,
        "split": dict(wish.traffic.split) or None,
    }
