"""The first scan: several models at once, one that fails beside the others, and what ends it."""

import contextlib
import threading
from pathlib import Path

import pytest

from serving.errors import ModelBroken
from serving.inference.providers import ProviderUnavailable
from serving.repository.memory import MemoryLimit
from serving.repository.repository import ModelRepository, ModelState, VersionStatus
from serving.repository.served_model import ServedModel
from tests import tiny_models as tiny


class Watched:
    """A repository of `root` that loads by `loader`, and every change of state that it told: (model, state)."""

    def __init__(self, root: Path, loader: "FailingLoader", limit: MemoryLimit = MemoryLimit()) -> None:  # noqa: B008
        self.changes: list[tuple[str, str]] = []
        self.repository = ModelRepository(root, loader, self._note, drain_seconds=5.0, limit=limit)

    def _note(self, status: VersionStatus) -> None:
        self.changes.append((status.name, str(status.state)))


def put(root: Path, *names: str) -> None:
    for name in names:
        tiny.put_bare(root, name, tiny.linear_model())


class FailingLoader:
    """What cannot be made with a file: a loader whose provider is lost, or that has a fault of its own."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def load(self, folder: Path, name: str, version: int) -> ServedModel:  # noqa: ARG002 - the loader's signature
        raise self._error


async def test_a_fault_of_the_server_while_loading_is_told_without_its_text(tmp_path, caplog):
    put(tmp_path, "letters")
    watched = Watched(tmp_path, FailingLoader(RuntimeError("secret")))
    await watched.repository.scan()
    status = watched.repository.status("letters")
    assert (status.state, status.reason) == (
        ModelState.FAILED,
        "internal error while loading; the server's log says more",
    )
    assert "secret" in caplog.text


async def test_a_provider_that_cannot_be_had_ends_the_scan_and_is_told(tmp_path):
    put(tmp_path, "letters")
    watched = Watched(tmp_path, FailingLoader(ProviderUnavailable("no device")))
    with pytest.raises(ProviderUnavailable, match="no device"):
        await watched.repository.scan()
    status = watched.repository.status("letters")
    assert (status.state, status.reason) == (ModelState.FAILED, "no device")


class MeetingLoader(FailingLoader):
    """A loader each of whose loads waits for another to begin, at most so many seconds; `met` are those that did."""

    def __init__(self, seconds: float) -> None:
        super().__init__(ModelBroken("met"))
        self._both = threading.Barrier(2)
        self._seconds = seconds
        self.met = 0

    def load(self, folder: Path, name: str, version: int) -> ServedModel:
        with contextlib.suppress(threading.BrokenBarrierError):
            self._both.wait(self._seconds)
            self.met += 1
        return super().load(folder, name, version)


async def test_the_first_scan_loads_several_models_at_once(tmp_path):
    put(tmp_path, "alpha", "omega")
    loader = MeetingLoader(60)
    await Watched(tmp_path, loader).repository.scan()
    assert loader.met == 2


async def test_where_memory_is_limited_one_model_is_loaded_after_the_other(tmp_path):
    put(tmp_path, "alpha", "omega")
    loader = MeetingLoader(0.05)
    watched = Watched(tmp_path, loader, MemoryLimit(10**6))
    await watched.repository.scan()
    assert loader.met == 0
    assert watched.changes == [(name, state) for name in ("alpha", "omega") for state in ("LOADING", "FAILED")]
