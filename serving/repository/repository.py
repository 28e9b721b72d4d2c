"""ModelRepository: which models exist, in which version and state.

Owns the life of every version: LOADING → READY → UNLOADING → GONE, or LOADING → FAILED; a new version is READY before
the old one goes. Does not know how a version is loaded, who asks, nor where it is written down what was asked for.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

from serving.errors import ModelBroken, ModelNotFound, ModelNotReady
from serving.inference.providers import ProviderUnavailable
from serving.repository.folders import check_name, check_there, model_names, not_found, versions_on_disk
from serving.repository.served_model import ServedModel

_log = logging.getLogger(__name__)

Done = TypeVar("Done")

Wanted = Mapping[str, frozenset[int]]
"""The versions that shall be READY, by model."""


class ModelState(StrEnum):
    """Where in its life a version is."""

    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    GONE = "GONE"
    FAILED = "FAILED"


class VersionLoader(Protocol):
    """What loads a version: `serving.repository.loading.Loader`."""

    def load(self, folder: Path, name: str, version: int) -> ServedModel:
        """The version in `folder`; raises ModelBroken, ProviderUnavailable."""
        ...


class Journal(Protocol):
    """Where control is written down, for other processes and for the next start."""

    async def record(self, name: str, versions: frozenset[int]) -> int:
        """Write that exactly `versions` shall be READY; the revision. Raises Unavailable."""
        ...

    async def agreed(self, revision: int) -> None:
        """Return when every worker has applied `revision`; raises ModelBroken if one could not."""
        ...


@dataclass(slots=True, eq=False)
class VersionStatus:
    """One version that was found; `reason` says why it is FAILED, `served` is there while READY."""

    name: str
    version: int
    state: ModelState
    reason: str = ""
    served: ServedModel | None = None


OnChange = Callable[[VersionStatus], None]


class ModelRepository:
    """The models below `root`, `<model>/<version>/`. Used from one event loop; loading runs in threads.

    `on_change` is told every change of a version's state; `journal` what `load` and `unload` were asked for.
    """

    def __init__(
        self,
        root: Path,
        loader: VersionLoader,
        on_change: OnChange,
        drain_seconds: float,
        journal: Journal | None = None,
    ) -> None:
        self._root = root
        self._loader = loader
        self._on_change = on_change
        self._drain_seconds = drain_seconds
        self._models: dict[str, dict[int, VersionStatus]] = {}
        self._ready: dict[str, ServedModel] = {}
        self._journal = journal
        self._control = asyncio.Lock()

    def get(self, name: str, version: int | None = None) -> ServedModel:
        """The READY version asked for, or without one the highest.

        Raises InvalidInput for what cannot be a name, ModelNotFound, ModelNotReady while it loads or unloads,
        ModelBroken if it FAILED.
        """
        if version is None and (ready := self._ready.get(name)) is not None:
            return ready
        status = self._find(name, version)
        if status.served is not None and status.state is ModelState.READY:
            return status.served
        if status.state is ModelState.FAILED:
            raise ModelBroken(_failure(status))
        raise ModelNotReady(f"model {name} version {status.version} is {status.state}")

    def status(self, name: str, version: int | None = None) -> VersionStatus:
        """As `get`, whatever the state; without a version the default one, or the highest if none is READY."""
        if version is None and (ready := self._ready.get(name)) is not None:
            version = ready.version
        return self._find(name, version)

    def statuses(self) -> list[VersionStatus]:
        """Every version that was found, by name and version."""
        return [versions[number] for _, versions in sorted(self._models.items()) for number in sorted(versions)]

    def is_default(self, status: VersionStatus) -> bool:
        """Whether a request without a version gets this one."""
        return status.served is not None and self._ready.get(status.name) is status.served

    async def scan(self, wanted: Wanted | None = None) -> None:
        """Load the `wanted` versions, of other models below the root the highest, or the next lower one that loads.

        Raises ProviderUnavailable if the execution provider asked for cannot be had.
        """
        wanted = wanted or {}
        async with self._control:
            for name in sorted({*model_names(self._root), *wanted}):
                if name in wanted:
                    await self._make_ready(name, wanted[name])
                    continue
                for version in sorted(versions_on_disk(self._root / name), reverse=True):
                    if (await self._load(name, version)).state is ModelState.READY:
                        break

    async def load(self, name: str, version: int | None = None) -> VersionStatus:
        """Make a version READY (without one, the highest on disk), then drain the versions that were.

        Raises InvalidInput, ModelNotFound if it is not on disk, ModelBroken if it fails: then the others go on.
        """
        check_name(name)
        status, revision = await _to_its_end(self._load_and_record(name, version))
        await self._agreed(revision)
        return status

    async def unload(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Drain a version, or all of the model's, and let them go. Raises InvalidInput, ModelNotFound."""
        chosen, revision = await _to_its_end(self._record_and_unload(name, version))
        await self._agreed(revision)
        return chosen

    async def follow(self, read: Callable[[], Wanted]) -> list[str]:
        """Make what `read` gives READY, and nothing else of those models; why not, a sentence for each that failed.

        A model of which nothing wanted could be loaded goes on as it is. `read` is called, in a thread, while no
        other control is under way, so that it cannot give what is overtaken already.
        """
        async with self._control:
            failures = []
            for name, versions in (await asyncio.to_thread(read)).items():
                statuses = await self._make_ready(name, versions)
                failed = [_failure(one) for one in statuses if one.state is ModelState.FAILED]
                if len(failed) < len(statuses) or not statuses:
                    await self._keep_only(name, versions)
                failures += failed
            return failures

    async def close(self) -> None:
        """Drain and unload everything."""
        async with self._control:
            await asyncio.gather(*map(self._unload, self.statuses()))

    async def _load_and_record(self, name: str, version: int | None) -> tuple[VersionStatus, int]:
        async with self._control:
            on_disk = set(versions_on_disk(self._root / name))
            wanted = max(on_disk, default=0) if version is None else version
            if wanted not in on_disk:
                raise ModelNotFound(not_found(name, version, sorted(on_disk)))
            known = self._models.get(name, {}).get(wanted)
            (status,) = await self._make_ready(name, frozenset({wanted}))
            if status.state is ModelState.FAILED:
                raise ModelBroken(_failure(status))
            try:
                revision = await self._record(name, frozenset({wanted}))
            except Exception:
                if status is not known:
                    await self._unload(status)
                raise
            await self._keep_only(name, frozenset({wanted}))
            return status, revision

    async def _record_and_unload(self, name: str, version: int | None) -> tuple[list[VersionStatus], int]:
        async with self._control:
            self._find(name, version)
            versions = self._models[name].values()
            kept = {one.version for one in versions if one.state is ModelState.READY and version != one.version}
            revision = await self._record(name, frozenset() if version is None else frozenset(kept))
            chosen = [one for one in versions if version in {None, one.version}]
            await asyncio.gather(*map(self._unload, chosen))
            return chosen, revision

    async def _record(self, name: str, versions: frozenset[int]) -> int:
        return 0 if self._journal is None else await self._journal.record(name, versions)

    async def _agreed(self, revision: int) -> None:
        if self._journal is not None:
            await self._journal.agreed(revision)

    async def _make_ready(self, name: str, versions: frozenset[int]) -> list[VersionStatus]:
        known = self._models.get(name, {})
        return [
            known[version]
            if version in known and known[version].state is ModelState.READY
            else await self._load(name, version)
            for version in sorted(versions)
        ]

    async def _keep_only(self, name: str, versions: frozenset[int]) -> None:
        others = [one for one in self._models.get(name, {}).values() if one.version not in versions]
        await asyncio.gather(*map(self._unload, others))

    async def _load(self, name: str, version: int) -> VersionStatus:
        status = VersionStatus(name, version, ModelState.LOADING)
        self._models.setdefault(name, {})[version] = status
        self._on_change(status)
        folder = self._root / name / str(version)
        try:
            check_there(folder)
            status.served = await asyncio.to_thread(self._loader.load, folder, name, version)
        except ModelBroken as error:
            status.reason = str(error)
        except ProviderUnavailable as error:
            status.state, status.reason = ModelState.FAILED, str(error)
            self._on_change(status)
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the other models are served
            _log.exception("loading %s version %d", name, version)
            status.reason = "internal error while loading; the server's log says more"
        status.state = ModelState.FAILED if status.served is None else ModelState.READY
        self._choose_default(name)
        self._on_change(status)
        return status

    async def _unload(self, status: VersionStatus) -> None:
        served = status.served
        if served is not None:
            status.state = ModelState.UNLOADING
            self._choose_default(status.name)
            self._on_change(status)
            await served.close(self._drain_seconds)
            status.served = None
        status.state = ModelState.GONE
        self._models[status.name].pop(status.version, None)
        if not self._models[status.name]:
            del self._models[status.name]
        self._on_change(status)

    def _choose_default(self, name: str) -> None:
        ready = [one for one in self._models[name].values() if one.state is ModelState.READY]
        if ready:
            self._ready[name] = _served(max(ready, key=lambda one: one.version))
        else:
            self._ready.pop(name, None)

    def _find(self, name: str, version: int | None) -> VersionStatus:
        check_name(name)
        versions = self._models.get(name)
        if not versions:
            raise ModelNotFound(f"no model named {name}")
        if version is None:
            return versions[max(versions)]
        if version not in versions:
            raise ModelNotFound(not_found(name, version, sorted(versions)))
        return versions[version]


def _served(status: VersionStatus) -> ServedModel:
    if status.served is None:
        raise ModelNotReady(f"model {status.name} version {status.version} is {status.state}")
    return status.served


async def _to_its_end(change: Coroutine[None, None, Done]) -> Done:
    """A change goes on though its caller has gone: half of one would leave a version LOADING for ever."""
    return await asyncio.shield(change)


def _failure(status: VersionStatus) -> str:
    return f"model {status.name} version {status.version} failed to load: {status.reason}"
