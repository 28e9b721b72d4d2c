"""Holds a repository to the desired state.

Owns when the file is read and written, and what the other workers are told. Does not know the file's form, nor how
versions are loaded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from serving.errors import ModelBroken, Unavailable
from serving.inference.providers import ProviderUnavailable
from serving.logs import Log
from serving.repository.desired_state import DesiredState, Edit, StateBroken, StateFile, Wish
from serving.repository.repository import Wishes

FOLLOW_SECONDS = 0.2
"""How often the file is looked at; polled, since no notification crosses every kind of volume."""

_log = Log("signet")


class Team(Protocol):
    """The workers that share a port with this one."""

    def tell_applied(self, revision: int, failures: list[str]) -> None:
        """Say that this worker has done what `revision` wants, but for `failures`."""
        ...

    async def agreed(self, revision: int) -> list[str]:
        """Return when every worker has applied `revision`: their failures."""
        ...


class StateFollower:
    """Follows `file`; `team` is None for a process on its own."""

    def __init__(self, file: StateFile, team: Team | None) -> None:
        self._file = file
        self._team = team
        self._stamp = file.stamp()
        self._applied = DesiredState()
        self._changed = asyncio.Event()

    def begin(self) -> Wishes:
        """What the first scan has to load; raises StateBroken, OSError."""
        self._stamp = self._file.stamp()
        self._applied = self._file.read()
        return self._applied.models

    async def record(self, name: str, edit: Edit) -> tuple[int, Wish]:
        """See Journal."""
        try:
            recorded = await asyncio.to_thread(self._file.change, name, edit)
        except (OSError, StateBroken) as error:
            _log.error("the desired state cannot be written", reason=str(error))
            raise Unavailable(
                "nothing was changed: the desired state cannot be written; the server's log says why"
            ) from error
        self._changed.set()
        return recorded

    async def agreed(self, revision: int) -> None:
        """See Journal."""
        if self._team is not None and (failures := await self._team.agreed(revision)):
            raise ModelBroken(f"not every worker could follow: {'; '.join(failures)}")

    def tell_applied(self) -> None:
        """Count from now on among the workers that others wait for."""
        if self._team is not None:
            self._team.tell_applied(self._applied.revision, [])

    async def follow(self, apply: Callable[[Callable[[], Wishes]], Awaitable[list[str]]]) -> None:
        """Apply every change of the file, until cancelled."""
        while True:
            await self.catch_up(apply)
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), FOLLOW_SECONDS)
            except TimeoutError:
                continue

    async def catch_up(self, apply: Callable[[Callable[[], Wishes]], Awaitable[list[str]]]) -> None:
        """Apply what has changed in the file since it was last read, if anything has."""
        if await asyncio.to_thread(self._file.stamp) == self._stamp:
            return
        try:
            failures = await apply(self._read)
        except ProviderUnavailable as error:
            failures = [str(error)]
        except (OSError, StateBroken) as error:
            _log.error("the desired state cannot be read", reason=str(error))
            return
        for failure in failures:
            _log.error("the desired state cannot be reached", reason=failure)
        if self._team is not None:
            self._team.tell_applied(self._applied.revision, failures)

    def _read(self) -> Wishes:
        # Before the file: a change in between is seen again, rather than never.
        self._stamp = self._file.stamp()
        before, self._applied = self._applied, self._file.read()
        return self._applied.changed_since(before)
