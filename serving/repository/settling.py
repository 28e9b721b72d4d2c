"""From what is wanted of a model to what is READY.

Owns what is tried, in which order, and what is drained for it. Does not know who wants it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from serving.repository.desired_state import Wish
from serving.repository.folders import OnDisk
from serving.repository.policy import VersionPolicy
from serving.repository.versions import ModelState, Versions, VersionStatus

AT_ONCE = 4
"""Models that a first scan loads at once: files of some are read while one of them is measured."""


class Settling:
    """Makes `versions` what is wanted; `policy` is that of models of which nothing was asked."""

    def __init__(self, versions: Versions, policy: VersionPolicy) -> None:
        self._versions = versions
        self._policy = policy

    async def make_ready(
        self, name: str, wish: Wish, on_disk: OnDisk, *, retry: bool
    ) -> tuple[frozenset[int], list[VersionStatus]]:
        """Load what is wanted, the highest first, and in place of each that fails what is wanted without it.

        What FAILED or was GONE before, and has not changed on disk, is tried only if `retry`. The versions that are
        wanted but for those that FAILED, and those that failed now. Raises ProviderUnavailable.
        """
        tried = set() if retry else self._lost(name, on_disk)
        passed = {number for number in tried if self._versions.of(name)[number].state is ModelState.FAILED}
        passed |= {n for n, stamp in on_disk.items() if stamp is None and not self._versions.is_ready(name, n)}
        failed: list[VersionStatus] = []
        while True:
            wanted = wish.wanted(self._policy, on_disk.keys() - passed) - passed
            missing = [one for one in wanted if one not in tried and not self._versions.is_ready(name, one)]
            if not missing:
                return wanted, failed
            status = await self._versions.load(name, max(missing), on_disk.get(max(missing)))
            # Never twice: two versions that do not fit into memory together would take turns for ever.
            tried.add(status.version)
            if status.state is ModelState.FAILED:
                failed.append(status)
                passed.add(status.version)

    async def let_go(self, name: str, wish: Wish, on_disk: OnDisk, ready: frozenset[int]) -> None:
        """Drain all but what is `ready`, unless nothing of what is wanted could be loaded.

        One that FAILED is told of as long as it would be wanted if it loaded.
        """
        if not ready and wish.wanted(self._policy, on_disk):
            return
        known = self._versions.of(name)
        failed = {number for number, one in known.items() if one.state is ModelState.FAILED}
        told = {
            number
            for number in failed
            if number in wish.wanted(self._policy, (on_disk.keys() - failed) | (on_disk.keys() & {number}))
        }
        others = [one for number, one in known.items() if number not in ready | told]
        await asyncio.gather(*map(self._versions.unload, others))

    def _lost(self, name: str, on_disk: OnDisk) -> set[int]:
        return {
            number
            for number, one in self._versions.of(name).items()
            if one.state in {ModelState.FAILED, ModelState.GONE} and one.stamp == on_disk.get(number)
        }


async def settle_each(names: Iterable[str], settle: Callable[[str], Awaitable[None]], at_once: int) -> None:
    """Settle so many models at a time, each to its end whatever becomes of others; then raises the first error."""
    turns = asyncio.Semaphore(at_once)

    async def in_turn(name: str) -> None:
        async with turns:
            await settle(name)

    ends = await asyncio.gather(*map(in_turn, names), return_exceptions=True)
    for error in filter(None, ends):
        raise error
