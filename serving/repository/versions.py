"""Versions: the life of each version, and which of them answers.

Owns the states, LOADING → READY → UNLOADING → GONE, or LOADING → FAILED, and the one lookup that every request makes.
Does not know which versions are wanted, nor how one is loaded.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from serving.errors import InvalidInput, ModelBroken, ModelNotFound, ModelNotReady
from serving.inference.providers import ProviderUnavailable
from serving.repository.folders import Stamp, check_name, check_there, model_bytes, not_found
from serving.repository.memory import MemoryLimit, return_freed_memory
from serving.repository.served_model import ServedModel
from serving.repository.traffic import Traffic

EVICTED = "it was the least recently used when another needed its memory (max_models_bytes); LoadModel loads it"

_log = logging.getLogger(__name__)


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


@dataclass(slots=True, eq=False)
class VersionStatus:
    """One version that was found; `reason` says why it is FAILED, or GONE; `served` is there while READY.

    `stamp`: of its folder before it was loaded. `size`: bytes of its model's files.
    """

    name: str
    version: int
    state: ModelState
    reason: str = ""
    served: ServedModel | None = None
    stamp: Stamp | None = None
    size: int = 0
    loaded_time: float = 0.0

    @property
    def used_time(self) -> float:
        """When it was loaded or ran last, in seconds since the epoch."""
        last_run = 0.0 if self.served is None else self.served.batcher.statistics.last_run_time
        return max(self.loaded_time, last_run)


OnChange = Callable[[VersionStatus], None]

Key = Callable[[], str]
"""What requests have in common that shall go to one version, "" if nothing; asked only where requests are split."""


class Versions:
    """The versions below `root` that were found. `on_change` is told every change of a version's state."""

    def __init__(
        self, root: Path, loader: VersionLoader, on_change: OnChange, drain_seconds: float, limit: MemoryLimit
    ) -> None:
        self._root = root
        self._loader = loader
        self._on_change = on_change
        self._drain_seconds = drain_seconds
        self._limit = limit
        self._models: dict[str, dict[int, VersionStatus]] = {}
        self._default: dict[str, ServedModel] = {}
        self._traffic: dict[str, Traffic] = {}
        # The default of each model whose requests are not split: what most requests need to look at.
        self._undivided: dict[str, ServedModel] = {}

    def get(self, name: str, version: int | None, label: str | None, key: Key | None) -> ServedModel:
        """See ModelRepository.get."""
        if version is None and label is None:
            if (served := self._undivided.get(name)) is not None:
                return served
            if (default := self._default.get(name)) is not None:
                return self._chosen(name, key, default)
        if label is not None:
            version = self.labelled(name, version, label)
        status = self.find(name, version)
        if status.served is not None and status.state is ModelState.READY:
            return status.served
        if status.state is ModelState.FAILED:
            raise ModelBroken(failure(status))
        reason = f": {status.reason}" if status.reason else ""
        raise ModelNotReady(f"model {name} version {status.version} is {status.state}{reason}")

    def find(self, name: str, version: int | None) -> VersionStatus:
        """A version, by default the highest; raises InvalidInput, ModelNotFound."""
        check_name(name)
        versions = self._models.get(name)
        if not versions:
            raise ModelNotFound(f"no model named {name}")
        if version is None:
            return versions[max(versions)]
        if version not in versions:
            raise ModelNotFound(not_found(name, version, sorted(versions)))
        return versions[version]

    def default(self, name: str) -> ServedModel | None:
        """The READY version that answers requests without one, but for those that are split off."""
        return self._default.get(name)

    def of(self, name: str) -> dict[int, VersionStatus]:
        """The versions of a model, by number."""
        return dict(self._models.get(name, {}))

    def all(self) -> list[VersionStatus]:
        """Every version, by name and version."""
        return [versions[number] for _, versions in sorted(self._models.items()) for number in sorted(versions)]

    def is_ready(self, name: str, version: int) -> bool:
        """Whether that version answers."""
        status = self._models.get(name, {}).get(version)
        return status is not None and status.state is ModelState.READY

    def traffic(self, name: str) -> Traffic:
        """The labels and the split of a model."""
        return self._traffic.get(name, Traffic())

    def direct(self, name: str, traffic: Traffic) -> None:
        """Answer by these labels and this split from now on."""
        if traffic == Traffic():
            self._traffic.pop(name, None)
        else:
            self._traffic[name] = traffic
        self._choose_default(name)

    async def load(self, name: str, version: int, stamp: Stamp | None) -> VersionStatus:
        """Load a version; it is READY or FAILED then. Raises ProviderUnavailable."""
        status = VersionStatus(name, version, ModelState.LOADING, stamp=stamp)
        self._models.setdefault(name, {})[version] = status
        self._on_change(status)
        folder = self._root / name / str(version)
        try:
            check_there(folder)
            status.size = await asyncio.to_thread(model_bytes, folder)
            await self._make_room(status)
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
        # The checks and the first large run leave much behind that nobody needs again.
        await asyncio.to_thread(return_freed_memory)
        status.loaded_time = time.time()
        status.state = ModelState.FAILED if status.served is None else ModelState.READY
        self._choose_default(name)
        self._on_change(status)
        return status

    async def unload(self, status: VersionStatus, reason: str = "") -> None:
        """Drain a version and let it go; with a `reason`, it is still told of, as GONE."""
        if status.served is not None:
            status.state = ModelState.UNLOADING
            self._choose_default(status.name)
            self._on_change(status)
            await status.served.close(self._drain_seconds)
            status.served = None
        status.state, status.reason = ModelState.GONE, reason
        if not reason:
            self._models[status.name].pop(status.version, None)
            if not self._models[status.name]:
                del self._models[status.name]
        self._on_change(status)
        await asyncio.to_thread(return_freed_memory)

    async def _make_room(self, coming: VersionStatus) -> None:
        ready = [one for one in self.all() if one.state is ModelState.READY]
        overflow = self._limit.overflow((one.size for one in ready), coming.size)
        for one in sorted(ready, key=lambda one: one.used_time):
            if overflow <= 0:
                return
            overflow -= one.size
            await self.unload(one, EVICTED)

    def _chosen(self, name: str, key: Key | None, default: ServedModel) -> ServedModel:
        """By the split; where its version is not READY, the default, so that no request is lost."""
        version = self.traffic(name).chosen(name, "" if key is None else key())
        status = None if version is None else self._models[name].get(version)
        if status is None or status.served is None or status.state is not ModelState.READY:
            return default
        return status.served

    def labelled(self, name: str, version: int | None, label: str) -> int:
        """The version that has a label; raises InvalidInput if a version came too, ModelNotFound."""
        check_name(name)
        if version is not None:
            raise InvalidInput(f"version {version} and version_label {label[:128]!r} came; one of them was expected")
        if name not in self._models:
            raise ModelNotFound(f"no model named {name}")
        return self.traffic(name).version(name, label)

    def _choose_default(self, name: str) -> None:
        ready = {
            number: one.served
            for number, one in self._models.get(name, {}).items()
            if one.state is ModelState.READY and one.served is not None
        }
        traffic = self.traffic(name)
        default = traffic.default(ready)
        if default is None:
            self._default.pop(name, None)
        else:
            self._default[name] = ready[default]
        if default is None or traffic.split:
            self._undivided.pop(name, None)
        else:
            self._undivided[name] = ready[default]


def failure(status: VersionStatus) -> str:
    """Why a version FAILED."""
    return f"model {status.name} version {status.version} failed to load: {status.reason}"
