"""ModelRepository: which models exist, in which version and state.

Owns the life of every version: LOADING → READY → UNLOADING → GONE, or LOADING → FAILED; a new version is READY before
the old one goes. Does not know how a version is loaded, nor who asks.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from serving.errors import InvalidInput, ModelBroken, ModelNotFound, ModelNotReady
from serving.inference.providers import ProviderUnavailable
from serving.repository.manifest_limits import MODEL_NAME
from serving.repository.served_model import ServedModel

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
    """One version that was found; `reason` says why it is FAILED, `served` is there while READY."""

    name: str
    version: int
    state: ModelState
    reason: str = ""
    served: ServedModel | None = None


OnChange = Callable[[VersionStatus], None]


class ModelRepository:
    """The models below `root`, `<model>/<version>/`. Used from one event loop; loading runs in threads.

    `on_change` is told every change of a version's state.
    """

    def __init__(self, root: Path, loader: VersionLoader, on_change: OnChange, drain_seconds: float) -> None:
        self._root = root
        self._loader = loader
        self._on_change = on_change
        self._drain_seconds = drain_seconds
        self._models: dict[str, dict[int, VersionStatus]] = {}
        self._ready: dict[str, ServedModel] = {}
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
            raise ModelBroken(f"model {name} version {status.version} failed to load: {status.reason}")
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

    async def scan(self) -> None:
        """Load the highest version of each model below the root; where it fails, the next lower one that loads.

        Raises ProviderUnavailable if the execution provider asked for cannot be had.
        """
        async with self._control:
            for name in sorted(_model_names(self._root)):
                for version in sorted(_versions(self._root / name), reverse=True):
                    if (await self._load(name, version)).state is ModelState.READY:
                        break

    async def load(self, name: str, version: int | None = None) -> VersionStatus:
        """Make a version READY (without one, the highest on disk), then drain the versions that were.

        Raises InvalidInput, ModelNotFound if it is not on disk, ModelBroken if it fails: then the others go on.
        """
        _check_name(name)
        async with self._control:
            on_disk = set(_versions(self._root / name))
            wanted = max(on_disk, default=0) if version is None else version
            if wanted not in on_disk:
                raise ModelNotFound(_not_found(name, version, sorted(on_disk)))
            status = self._models.get(name, {}).get(wanted)
            if status is None or status.state is not ModelState.READY:
                status = await self._load(name, wanted)
            if status.state is ModelState.FAILED:
                raise ModelBroken(f"model {name} version {wanted} failed to load: {status.reason}")
            others = [one for one in self._models[name].values() if one is not status and one.served is not None]
            await asyncio.gather(*map(self._unload, others))
            return status

    async def unload(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Drain a version, or all of the model's, and let them go. Raises InvalidInput, ModelNotFound."""
        async with self._control:
            self._find(name, version)
            chosen = [one for one in self._models[name].values() if version in {None, one.version}]
            await asyncio.gather(*map(self._unload, chosen))
            return chosen

    async def close(self) -> None:
        """Drain and unload everything."""
        async with self._control:
            await asyncio.gather(*map(self._unload, self.statuses()))

    async def _load(self, name: str, version: int) -> VersionStatus:
        status = VersionStatus(name, version, ModelState.LOADING)
        self._models.setdefault(name, {})[version] = status
        self._on_change(status)
        try:
            status.served = await asyncio.to_thread(self._loader.load, self._root / name / str(version), name, version)
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
        _check_name(name)
        versions = self._models.get(name)
        if not versions:
            raise ModelNotFound(f"no model named {name}")
        if version is None:
            return versions[max(versions)]
        if version not in versions:
            raise ModelNotFound(_not_found(name, version, sorted(versions)))
        return versions[version]


def _served(status: VersionStatus) -> ServedModel:
    if status.served is None:
        raise ModelNotReady(f"model {status.name} version {status.version} is {status.state}")
    return status.served


def _check_name(name: str) -> None:
    if not MODEL_NAME.fullmatch(name):
        raise InvalidInput(
            f"model: {name[:128]!r} is no model name; 1 to 128 letters, digits, '_', '.' and '-' were expected"
        )


def _not_found(name: str, version: int | None, known: list[int]) -> str:
    if not known:
        return f"no model named {name}"
    return f"model {name} has no version {version}; it has {', '.join(map(str, known))}"


def _model_names(root: Path) -> Iterator[str]:
    return (path.name for path in root.iterdir() if path.is_dir() and MODEL_NAME.fullmatch(path.name))


def _versions(model_folder: Path) -> Iterator[int]:
    """The versions in a model's folder: positive integers that hold a manifest or a bare ONNX file."""
    if not model_folder.is_dir():
        return
    for path in model_folder.iterdir():
        is_version = re.fullmatch(r"[1-9][0-9]{0,17}", path.name)
        if is_version and any((path / file).is_file() for file in ("manifest.json", "model.onnx")):
            yield int(path.name)
