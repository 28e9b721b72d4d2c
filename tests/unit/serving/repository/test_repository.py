"""A version lives LOADING, READY, UNLOADING, GONE, or is FAILED with its reason; one that is READY answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from serving.errors import InvalidInput, ModelBroken, ModelNotFound, ModelNotReady
from serving.inference.session import SessionSettings
from serving.metrics import Metrics
from serving.repository.loading import Loader, LoadSettings
from serving.repository.repository import ModelRepository, ModelState, VersionLoader, VersionStatus
from tests import tiny_models as tiny

READY, FAILED = ModelState.READY, ModelState.FAILED
FOREVER = float("inf")


class Watched:
    """A repository of `root`, and every change of state that it told: (model, version, state)."""

    def __init__(self, root: Path, loader: VersionLoader) -> None:
        self.changes: list[tuple[str, int, str]] = []
        self.repository = ModelRepository(root, loader, self.note, drain_seconds=5.0)

    def note(self, status: VersionStatus) -> None:
        self.changes.append((status.name, status.version, str(status.state)))

    def states(self) -> dict[tuple[str, int], ModelState]:
        return {(one.name, one.version): one.state for one in self.repository.statuses()}


def real_loader() -> Loader:
    return Loader(LoadSettings(SessionSettings(1), max_batch_rows=8, queue_rows=100), Metrics())


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Watched]]]:
    """Scan the repository at tmp_path; closed at the end."""
    made: list[Watched] = []

    async def scanned() -> Watched:
        watched = Watched(tmp_path, real_loader())
        made.append(watched)
        await watched.repository.scan()
        return watched

    yield scanned
    for watched in made:
        await watched.repository.close()


def put(root: Path, *versions: int, name: str = "letters") -> None:
    for version in versions:
        tiny.put_bare(root, name, tiny.linear_model(), version)


def put_broken(root: Path, version: int, name: str = "letters") -> None:
    tiny.put_bare(root, name, b"no model", version)


async def test_a_scan_loads_the_highest_version_of_each_model(tmp_path, watch):
    put(tmp_path, 1, 9, 10)
    put(tmp_path, 3, name="numbers")
    watched = await watch()
    assert watched.states() == {("letters", 10): READY, ("numbers", 3): READY}
    assert watched.repository.get("letters").version == 10
    assert watched.repository.is_default(watched.repository.status("letters"))


async def test_every_change_of_state_is_told_in_order(tmp_path, watch):
    put(tmp_path, 1)
    watched = await watch()
    await watched.repository.unload("letters")
    assert watched.changes == [("letters", 1, state) for state in ("LOADING", "READY", "UNLOADING", "GONE")]


async def test_where_the_highest_version_fails_the_next_lower_one_is_served(tmp_path, watch):
    put(tmp_path, 1, 2)
    put_broken(tmp_path, 3)
    watched = await watch()
    assert watched.states() == {("letters", 2): READY, ("letters", 3): FAILED}
    assert watched.repository.get("letters").version == 2
    failed = watched.repository.status("letters", 3)
    assert failed.reason.startswith("model.onnx: onnxruntime cannot load it")
    assert str(tmp_path) not in failed.reason
    assert not watched.repository.is_default(failed)


async def test_a_model_that_fails_leaves_the_others_served(tmp_path, watch):
    put_broken(tmp_path, 1, "alpha")
    put(tmp_path, 1, name="omega")
    watched = await watch()
    assert watched.states() == {("alpha", 1): FAILED, ("omega", 1): READY}


async def test_folders_and_files_that_are_no_versions_are_passed_over(tmp_path, watch):
    put(tmp_path, 2)
    for name in ("0", "01", "-1", "v3", "3.0", "latest", "\N{SUPERSCRIPT THREE}", ".4.tmp"):
        folder = tmp_path / "letters" / name
        folder.mkdir()
        (folder / "model.onnx").write_bytes(tiny.linear_model())
    (tmp_path / "letters" / "5").mkdir()
    (tmp_path / "letters" / "6").write_text("a file")
    (tmp_path / "README.txt").write_text("a file")
    put(tmp_path, 1, name=".hidden")
    put(tmp_path, 1, name="with space")
    assert (await watch()).states() == {("letters", 2): READY}


async def test_an_empty_repository_has_no_models(watch):
    watched = await watch()
    assert watched.states() == {}
    with pytest.raises(ModelNotFound, match=r"^no model named letters$"):
        watched.repository.get("letters")


@pytest.mark.parametrize("name", ["", "../letters", "a/b", ".letters", "a b", "a\n", "ä", "x" * 129])
async def test_what_cannot_be_a_name_is_refused_before_the_disk_is_asked(watch, name):
    repository = (await watch()).repository
    with pytest.raises(InvalidInput, match="is no model name; 1 to 128 letters"):
        repository.get(name)
    with pytest.raises(InvalidInput):
        repository.status(name)
    for control in (repository.load, repository.unload):
        with pytest.raises(InvalidInput):
            await control(name)


@pytest.mark.parametrize("version", [0, -1, 2, 2**62])
async def test_an_unknown_version_is_told_with_those_that_are_there(tmp_path, watch, version):
    put(tmp_path, 1)
    repository = (await watch()).repository
    with pytest.raises(ModelNotFound, match=f"^model letters has no version {version}; it has 1$"):
        repository.get("letters", version)
    with pytest.raises(ModelNotFound, match=f"^model letters has no version {version}; it has 1$"):
        await repository.load("letters", version)


async def test_a_failed_version_is_answered_with_its_reason(tmp_path, watch):
    put_broken(tmp_path, 1)
    repository = (await watch()).repository
    text = r"^model letters version 1 failed to load: model\.onnx: onnxruntime cannot load it"
    with pytest.raises(ModelBroken, match=text):
        repository.get("letters")
    with pytest.raises(ModelBroken, match=text):
        repository.get("letters", 1)


async def test_a_new_version_is_ready_before_the_old_one_goes(tmp_path, watch):
    put(tmp_path, 1)
    watched = await watch()
    put(tmp_path, 2)
    watched.changes.clear()
    status = await watched.repository.load("letters")
    assert (status.version, status.state) == (2, READY)
    assert watched.changes == [
        ("letters", 2, "LOADING"),
        ("letters", 2, "READY"),
        ("letters", 1, "UNLOADING"),
        ("letters", 1, "GONE"),
    ]


async def test_a_new_version_that_fails_leaves_the_old_one_serving(tmp_path, watch):
    put(tmp_path, 1)
    watched = await watch()
    put_broken(tmp_path, 2)
    with pytest.raises(ModelBroken, match=r"^model letters version 2 failed to load: model\.onnx"):
        await watched.repository.load("letters")
    assert watched.states() == {("letters", 1): READY, ("letters", 2): FAILED}
    assert watched.repository.get("letters").version == 1
    assert watched.repository.status("letters").version == 1


async def test_a_failed_version_that_was_repaired_loads(tmp_path, watch):
    put_broken(tmp_path, 1)
    watched = await watch()
    put(tmp_path, 1)
    assert (await watched.repository.load("letters", 1)).state is READY
    assert watched.repository.get("letters").version == 1


async def test_an_older_version_asked_for_takes_the_place_of_the_newer(tmp_path, watch):
    put(tmp_path, 1, 2)
    watched = await watch()
    await watched.repository.load("letters", 1)
    assert watched.states() == {("letters", 1): READY}
    assert watched.repository.get("letters").version == 1


async def test_loading_a_ready_version_changes_nothing(tmp_path, watch):
    put(tmp_path, 1)
    watched = await watch()
    served = watched.repository.get("letters")
    watched.changes.clear()
    await watched.repository.load("letters")
    assert watched.changes == []
    assert watched.repository.get("letters") is served


async def test_loads_asked_for_at_once_are_done_one_after_the_other(tmp_path, watch):
    watched = await watch()
    put(tmp_path, 1)
    await asyncio.gather(watched.repository.load("letters"), watched.repository.load("letters"))
    assert watched.changes == [("letters", 1, "LOADING"), ("letters", 1, "READY")]


@pytest.mark.parametrize("version", [None, 1])
async def test_what_is_not_on_disk_cannot_be_loaded(watch, version):
    with pytest.raises(ModelNotFound, match=r"^no model named letters$"):
        await (await watch()).repository.load("letters", version)


async def test_an_unloaded_model_is_not_found_and_can_come_back(tmp_path, watch):
    put(tmp_path, 1)
    watched = await watch()
    (gone,) = await watched.repository.unload("letters")
    assert gone.state is ModelState.GONE
    assert watched.states() == {}
    with pytest.raises(ModelNotFound):
        watched.repository.get("letters")
    with pytest.raises(ModelNotFound):
        await watched.repository.unload("letters")
    await watched.repository.load("letters")
    assert watched.repository.get("letters").version == 1


async def test_a_failed_version_can_be_unloaded_and_the_ready_one_stays(tmp_path, watch):
    put(tmp_path, 1)
    put_broken(tmp_path, 2)
    watched = await watch()
    await watched.repository.unload("letters", 2)
    assert watched.states() == {("letters", 1): READY}


async def test_while_it_unloads_a_version_takes_no_requests_and_answers_those_it_has(tmp_path):
    put(tmp_path, 1)
    refusals: list[str] = []

    def ask(status: VersionStatus) -> None:
        if status.state is ModelState.UNLOADING:
            with pytest.raises(ModelNotReady) as error:
                repository.get("letters")
            refusals.append(str(error.value))

    repository = ModelRepository(tmp_path, real_loader(), ask, drain_seconds=5.0)
    await repository.scan()
    x = np.eye(3, dtype=np.float32)
    answer = asyncio.ensure_future(repository.get("letters").predict({"x": x}, FOREVER))
    await asyncio.sleep(0)
    await repository.unload("letters")
    assert refusals == ["model letters version 1 is UNLOADING"]
    assert (await answer)["y"].argmax(axis=1).tolist() == [0, 1, 2]


async def test_closing_unloads_everything(tmp_path, watch):
    put(tmp_path, 1)
    put_broken(tmp_path, 1, "broken")
    watched = await watch()
    await watched.repository.close()
    assert watched.states() == {}
    assert ("broken", 1, "GONE") in watched.changes
