"""Looks at the repository on disk every few seconds.

Owns when a version counts as there: a package when its manifest appears, which is written last; a bare ONNX file when
it was the same in two looks. Does not know which versions are wanted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from serving.errors import ServingError
from serving.inference.providers import ProviderUnavailable
from serving.logs import Log
from serving.repository.folders import MANIFEST, OnDisk, models_on_disk

_log = Log("signet")

Apply = Callable[[Mapping[str, OnDisk]], Awaitable[None]]


class Poller:
    """Watches the models below `root`, every `seconds`."""

    def __init__(self, root: Path, seconds: float) -> None:
        self._root = root
        self._seconds = seconds
        self._seen: Mapping[str, OnDisk] = {}
        self._told: Mapping[str, OnDisk] = {}
        self._reachable = True

    def begin(self) -> None:
        """What is there now is known, and whole. Raises OSError."""
        self._seen = self._told = models_on_disk(self._root)

    async def follow(self, apply: Apply) -> None:
        """Give every change to `apply`, until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            await self.look(apply)

    async def look(self, apply: Apply) -> None:
        """Give what has changed since the last look to `apply`, if anything has.

        A repository that cannot be read has not changed: what is served goes on.
        """
        try:
            seen = await asyncio.to_thread(models_on_disk, self._root)
        except OSError as error:
            if self._reachable:
                _log.error("the repository cannot be read; what is served goes on", reason=error.strerror)
            self._reachable = False
            return
        self._reachable = True
        if seen == self._seen == self._told:
            return
        now = {name: _settled(versions, self._seen.get(name, {})) for name, versions in seen.items()}
        changed = {name: now.get(name, {}) for name in {*now, *self._told} if now.get(name) != self._told.get(name)}
        self._seen, self._told = seen, now
        try:
            await apply(changed)
        except (ServingError, ProviderUnavailable) as error:
            _log.error("a change of the repository could not be followed", reason=str(error))


def _settled(now: OnDisk, before: OnDisk) -> OnDisk:
    """The same, with None for bare files that are new or have changed since."""
    return {
        number: stamp if stamp is None or stamp[0] == MANIFEST or before.get(number) == stamp else None
        for number, stamp in now.items()
    }
