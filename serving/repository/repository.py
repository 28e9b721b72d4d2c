"""ModelRepository: which versions shall be READY, and what is done for it.

Owns what is wanted of each model, by policy, by control, or by label, and that a new version is READY before the old
one goes. Does not know how a version is loaded, who asks, nor where it is written down what was asked for.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from serving.errors import InvalidInput, ModelBroken, ModelNotFound
from serving.repository.desired_state import Edit, Wish
from serving.repository.folders import OnDisk, check_name, model_names, not_found, versions_on_disk
from serving.repository.memory import MemoryLimit
from serving.repository.policy import VersionPolicy, parse_policy
from serving.repository.served_model import ServedModel
from serving.repository.settling import AT_ONCE, Settling, settle_each
from serving.repository.traffic import Traffic
from serving.repository.versions import Key, ModelState, OnChange, VersionLoader, Versions, VersionStatus, failure

__all__ = ["ModelRepository", "ModelState", "VersionLoader", "VersionStatus"]

Done = TypeVar("Done")

Wishes = Mapping[str, Wish]
"""What is wanted, by model."""


class Journal(Protocol):
    """Where control is written down, for other processes and for the next start."""

    async def record(self, name: str, edit: Edit) -> tuple[int, Wish]:
        """Edit what is wanted of a model; the revision, and the wish. Raises Unavailable, and what `edit` does."""
        ...

    async def agreed(self, revision: int) -> None:
        """Return when every worker has applied `revision`; raises ModelBroken if one could not."""
        ...


class ModelRepository:
    """The models below `root`, `<model>/<version>/`. Used from one event loop; loading runs in threads.

    `on_change` is told every change of a version's state, `on_traffic` every change of a model's labels and split;
    `journal` what control asked for. `policy` is that of models of which nothing was asked.
    """

    def __init__(
        self,
        root: Path,
        loader: VersionLoader,
        on_change: OnChange,
        drain_seconds: float,
        journal: Journal | None = None,
        *,
        policy: VersionPolicy = VersionPolicy(),  # noqa: B008 - frozen
        limit: MemoryLimit = MemoryLimit(),  # noqa: B008 - frozen
        on_traffic: Callable[[str, Traffic], None] = lambda *_: None,
    ) -> None:
        self._root = root
        self._journal = journal
        self._on_traffic = on_traffic
        self._versions = Versions(root, loader, on_change, drain_seconds, limit)
        self._settling = Settling(self._versions, policy)
        self._wishes: dict[str, Wish] = {}
        self._control = asyncio.Lock()
        # Where memory is limited, one model may have to make room for the next.
        self._at_once = 1 if limit.max_bytes else AT_ONCE

    def get(
        self, name: str, version: int | None = None, label: str | None = None, key: Key | None = None
    ) -> ServedModel:
        """The READY version asked for by its number or label; without them that of the split, or else the default.

        Raises InvalidInput for what cannot be a name and for both, ModelNotFound, ModelNotReady while it loads or
        unloads, ModelBroken if it FAILED.
        """
        return self._versions.get(name, version, label, key)

    def status(self, name: str, version: int | None = None, label: str | None = None) -> VersionStatus:
        """As `get`, whatever the state; without a version the default one, or the highest if none is READY."""
        if label is not None:
            version = self._versions.labelled(name, version, label)
        if version is None and (default := self._versions.default(name)) is not None:
            version = default.version
        return self._versions.find(name, version)

    def statuses(self) -> list[VersionStatus]:
        """Every version that was found, by name and version."""
        return self._versions.all()

    def is_default(self, status: VersionStatus) -> bool:
        """Whether a request without a version gets this one, but for those that are split off."""
        return status.served is not None and self._versions.default(status.name) is status.served

    def traffic(self, name: str) -> Traffic:
        """The labels and the split of a model."""
        return self._versions.traffic(name)

    async def scan(self, wishes: Wishes | None = None) -> None:
        """Load what is wanted of every model; of those not in `wishes`, what the policy wants and what loads.

        Raises ProviderUnavailable if the execution provider asked for cannot be had.
        """
        self._wishes = dict(wishes or {})
        async with self._control:
            await settle_each(sorted({*model_names(self._root), *self._wishes}), self._try_again, self._at_once)

    async def load(self, name: str, version: int | None = None, policy: str = "") -> VersionStatus:
        """Make a version READY (without one, the highest on disk) or what a policy wants, then drain the others.

        Raises InvalidInput, ModelNotFound if it is not on disk, ModelBroken if it fails: then the others go on.
        """
        check_name(name)
        status, revision = await _to_its_end(self._load_and_record(name, version, _parsed(policy, version)))
        await self._agreed(revision)
        return status

    async def unload(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Drain a version, or all of the model's with its labels, and let them go.

        Raises InvalidInput, ModelNotFound, ModelBroken for a version that has a label.
        """
        chosen, revision = await _to_its_end(self._record_and_unload(name, version))
        await self._agreed(revision)
        return chosen

    async def set_label(self, name: str, label: str, version: int) -> Traffic:
        """Move a label to a READY version, on every worker at once. Raises InvalidInput, ModelNotFound, ModelBroken."""

        def moved(traffic: Traffic) -> Traffic:
            return traffic.with_label(label, version)

        def check() -> None:
            status = self._versions.find(name, version)
            if status.state is not ModelState.READY:
                raise ModelBroken(f"model {name} version {version} is {status.state}; a label needs a READY one")

        return await self._redirect(name, moved, check)

    async def remove_label(self, name: str, label: str) -> Traffic:
        """Remove a label; the version stays if it is wanted without it.

        Raises InvalidInput, ModelNotFound, ModelBroken while requests are split by it.
        """
        return await self._redirect(name, lambda traffic: traffic.without_label(name, label))

    async def set_split(self, name: str, split: Mapping[str, float]) -> Traffic:
        """Send these percentages of the requests without a version to labels. Raises InvalidInput, ModelNotFound."""
        return await self._redirect(name, lambda traffic: traffic.divided(name, split))

    async def follow(self, read: Callable[[], Wishes]) -> list[str]:
        """Do what `read` gives; why not, a sentence for each version that failed.

        A model of which nothing wanted could be loaded goes on as it is. `read` is called, in a thread, while no
        other control is under way, so that it cannot give what is overtaken already.
        """
        async with self._control:
            failures = []
            for name, wish in (await asyncio.to_thread(read)).items():
                known = self._wish(name)
                if wish == known and name in self._wishes:
                    continue
                retry = (wish.versions, wish.policy) != (known.versions, known.policy)
                self._wishes[name] = wish
                failed = await self._settle(name, wish, await self._on_disk(name), retry=retry)
                missing = set(wish.traffic.labels.values()) - {one.version for one in failed}
                failures += [failure(one) for one in failed]
                failures += [
                    f"model {name} version {version} has a label, but is not READY"
                    for version in sorted(missing)
                    if not self._versions.is_ready(name, version)
                ]
            return failures

    async def refresh(self, changed: Mapping[str, OnDisk]) -> None:
        """Load and let go what the policies want now that the versions of these models on disk are these.

        A version that FAILED is not tried again before its folder changes.
        """
        async with self._control:
            for name, on_disk in changed.items():
                await self._settle(name, self._wish(name), on_disk)

    async def close(self) -> None:
        """Drain and unload everything."""
        async with self._control:
            await asyncio.gather(*map(self._versions.unload, self.statuses()))

    async def _load_and_record(
        self, name: str, version: int | None, policy: VersionPolicy | None
    ) -> tuple[VersionStatus, int]:
        async with self._control:
            on_disk = await self._on_disk(name)
            asked = _asked(name, on_disk, version, policy)
            before = {one for one in self._versions.of(name).values() if one.state is ModelState.READY}
            ready, failed = await self._settling.make_ready(name, asked, on_disk, retry=True)
            if not ready:
                raise ModelBroken(failure(failed[0]))
            try:
                revision, wish = await self._record(name, lambda wish: wish.with_versions_of(asked))
            except Exception:
                new = [one for one in self._versions.of(name).values() if one.version in ready and one not in before]
                await asyncio.gather(*map(self._versions.unload, new))
                raise
            await self._settle(name, wish, on_disk)
            return self._versions.find(name, max(ready)), revision

    async def _record_and_unload(self, name: str, version: int | None) -> tuple[list[VersionStatus], int]:
        async with self._control:
            self._versions.find(name, version)
            versions = self._versions.of(name).values()
            kept = {one.version for one in versions if one.state is ModelState.READY and version != one.version}

            def edit(wish: Wish) -> Wish:
                if version is None:
                    return Wish(frozenset())
                if labels := wish.traffic.labels_of(version):
                    raise ModelBroken(
                        f"model {name} version {version} has the label {labels[0]}; move or remove it first"
                    )
                return replace(wish, versions=frozenset(kept), policy=None)

            revision, wish = await self._record(name, edit)
            chosen = [one for one in versions if version in {None, one.version}]
            await self._settle(name, wish, {})
            return chosen, revision

    async def _redirect(
        self, name: str, change: Callable[[Traffic], Traffic], check: Callable[[], None] = lambda: None
    ) -> Traffic:
        async def redirect() -> tuple[int, Wish]:
            async with self._control:
                self._versions.find(name, None)
                check()
                revision, wish = await self._record(name, lambda wish: replace(wish, traffic=change(wish.traffic)))
                await self._settle(name, wish, await self._on_disk(name))
                return revision, wish

        revision, wish = await _to_its_end(redirect())
        await self._agreed(revision)
        return wish.traffic

    async def _settle(self, name: str, wish: Wish, on_disk: OnDisk, *, retry: bool = False) -> list[VersionStatus]:
        """Do what is wanted of a model; the versions that failed."""
        ready, failed = await self._settling.make_ready(name, wish, on_disk, retry=retry)
        if wish.traffic != self._versions.traffic(name):
            self._versions.direct(name, wish.traffic)
            self._on_traffic(name, wish.traffic)
        await self._settling.let_go(name, wish, on_disk, ready)
        return failed

    async def _try_again(self, name: str) -> None:
        await self._settle(name, self._wish(name), await self._on_disk(name), retry=True)

    async def _record(self, name: str, edit: Edit) -> tuple[int, Wish]:
        recorded = (0, edit(self._wish(name))) if self._journal is None else await self._journal.record(name, edit)
        self._wishes[name] = recorded[1]
        return recorded

    async def _agreed(self, revision: int) -> None:
        if self._journal is not None:
            await self._journal.agreed(revision)

    def _wish(self, name: str) -> Wish:
        return self._wishes.get(name, Wish())

    async def _on_disk(self, name: str) -> OnDisk:
        return await asyncio.to_thread(versions_on_disk, self._root / name)


def _parsed(policy: str, version: int | None) -> VersionPolicy | None:
    if not policy:
        return None
    if version is not None:
        raise InvalidInput(f"version {version} and policy {policy[:64]!r} came; one of them was expected")
    try:
        return parse_policy(policy)
    except ValueError as error:
        raise InvalidInput(f"policy: {error}") from error


def _asked(name: str, on_disk: OnDisk, version: int | None, policy: VersionPolicy | None) -> Wish:
    """What LoadModel wants; raises ModelNotFound."""
    if policy is not None:
        if not policy.wanted(on_disk):
            raise ModelNotFound(f"model {name} has no version that {policy} wants")
        return Wish(policy=policy)
    wanted = max(on_disk, default=0) if version is None else version
    if wanted not in on_disk:
        raise ModelNotFound(not_found(name, version, sorted(on_disk)))
    return Wish(frozenset({wanted}))


async def _to_its_end(change: Coroutine[None, None, Done]) -> Done:
    """A change goes on though its caller has gone: half of one would leave a version LOADING for ever."""
    return await asyncio.shield(change)
