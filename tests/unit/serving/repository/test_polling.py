"""What changes on disk is followed: what is new is served if it is good, what is removed is let go."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.errors import ModelNotReady
from serving.inference.session import SessionSettings
from serving.metrics import Metrics
from serving.repository.desired_state import Wish
from serving.repository.folders import OnDisk
from serving.repository.loading import Loader, LoadSettings
from serving.repository.memory import MemoryLimit
from serving.repository.policy import parse_policy
from serving.repository.polling import Poller
from serving.repository.repository import ModelRepository, VersionStatus
from tests import tiny_models as tiny

LETTERS: dict[str, Any] = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}
SIZE = len(tiny.linear_model())


class Polled:
    """A repository at `root` that is looked at when a test says so."""

    def __init__(self, root: Path, **settings: Any) -> None:
        loader = Loader(LoadSettings(SessionSettings(1), max_batch_rows=8, queue_rows=100), Metrics())
        self.loads: list[tuple[str, int]] = []
        self.applied: list[Mapping[str, OnDisk]] = []
        self.repository = ModelRepository(root, loader, self._note, 5.0, **settings)
        self._poller = Poller(root, 2.0)

    async def start(self, wishes: Mapping[str, Wish] | None = None) -> "Polled":
        self._poller.begin()
        await self.repository.scan(wishes)
        self.loads.clear()
        return self

    async def look(self) -> None:
        await self._poller.look(self._apply)

    def states(self) -> dict[tuple[str, int], str]:
        return {(one.name, one.version): str(one.state) for one in self.repository.statuses()}

    async def _apply(self, changed: Mapping[str, OnDisk]) -> None:
        self.applied.append(changed)
        await self.repository.refresh(changed)

    def _note(self, status: VersionStatus) -> None:
        if status.state == "LOADING":
            self.loads.append((status.name, status.version))


@pytest.fixture
async def polled(tmp_path):
    """Make a repository of what is at tmp_path, not yet started; closed at the end."""
    made: list[Polled] = []

    def make(**settings: Any) -> Polled:
        made.append(Polled(tmp_path, **settings))
        return made[-1]

    yield make
    for one in made:
        await one.repository.close()


def put_bare(root: Path, *versions: int) -> None:
    for version in versions:
        tiny.put_bare(root, "letters", tiny.linear_model(), version)


Make = Callable[..., Polled]


async def test_a_new_package_takes_over_and_the_old_one_goes(tmp_path, polled: Make):
    tiny.put_shades(tmp_path, 1)
    one = await polled().start()
    tiny.put_shades(tmp_path, 2)
    await one.look()
    assert one.states() == {("shades", 2): "READY"}


async def test_a_package_is_not_there_before_its_manifest(tmp_path, polled: Make):
    tiny.put_shades(tmp_path, 1)
    one = await polled().start()
    manifest = tiny.put_shades(tmp_path, 2) / "manifest.json"
    text = manifest.read_bytes()
    manifest.unlink()
    await one.look()
    assert one.states() == {("shades", 1): "READY"}
    manifest.write_bytes(text)
    await one.look()
    assert one.states() == {("shades", 2): "READY"}


async def test_a_bare_model_is_there_once_it_was_the_same_in_two_looks(tmp_path, polled: Make):
    put_bare(tmp_path, 1)
    one = await polled().start()
    whole = tiny.linear_model()
    file = tiny.put_bare(tmp_path, "letters", whole[:20], 2) / "model.onnx"
    await one.look()
    file.write_bytes(whole)
    await one.look()
    assert one.loads == []
    await one.look()
    assert (one.loads, one.states()) == ([("letters", 2)], {("letters", 2): "READY"})


async def test_where_nothing_changes_nothing_is_done(tmp_path, polled: Make):
    put_bare(tmp_path, 1)
    one = await polled().start()
    await one.look()
    await one.look()
    assert one.applied == []


async def test_a_bad_new_version_leaves_the_old_one_and_is_not_tried_again_until_it_changes(tmp_path, polled: Make):
    tiny.put_shades(tmp_path, 1)
    one = await polled().start()
    folder = tiny.put_shades(tmp_path, 2)
    (folder / "model.onnx").write_bytes(b"other bytes")
    await one.look()
    assert one.states() == {("shades", 1): "READY", ("shades", 2): "FAILED"}
    assert "checksum differs" in one.repository.status("shades", 2).reason
    tiny.put_sums(tmp_path)
    tiny.put_package(tmp_path, "shades", b"bad too", dict(tiny.IMAGE_MANIFEST), 3)
    await one.look()
    await one.look()
    assert sorted(one.loads) == [("shades", 2), ("shades", 3), ("sums", 1)]
    shutil.rmtree(folder)
    tiny.put_shades(tmp_path, 2)
    await one.look()
    assert one.states() == {("shades", 2): "READY", ("shades", 3): "FAILED", ("sums", 1): "READY"}


async def test_versions_and_models_that_are_removed_are_let_go(tmp_path, polled: Make):
    put_bare(tmp_path, 1, 2)
    tiny.put_sums(tmp_path)
    one = await polled(policy=parse_policy("all")).start()
    shutil.rmtree(tmp_path / "letters" / "2")
    shutil.rmtree(tmp_path / "sums")
    await one.look()
    assert one.states() == {("letters", 1): "READY"}


async def test_the_version_before_comes_back_when_the_highest_is_removed(tmp_path, polled: Make):
    put_bare(tmp_path, 1, 2)
    one = await polled().start()
    shutil.rmtree(tmp_path / "letters" / "2")
    await one.look()
    assert one.states() == {("letters", 1): "READY"}


async def test_a_repository_that_cannot_be_read_has_not_changed(tmp_path, polled: Make):
    put_bare(tmp_path, 1)
    one = await polled().start()
    tmp_path.rename(tmp_path.with_name("away"))
    await one.look()
    assert one.states() == {("letters", 1): "READY"}
    tmp_path.with_name("away").rename(tmp_path)
    await one.look()
    assert (one.states(), one.loads) == ({("letters", 1): "READY"}, [])


async def test_the_latest_two_are_served_as_versions_come(tmp_path, polled: Make):
    put_bare(tmp_path, 1, 2)
    one = await polled(policy=parse_policy("latest:2")).start()
    tiny.put_package(tmp_path, "letters", tiny.linear_model(), LETTERS, 3)
    await one.look()
    assert one.states() == {("letters", 2): "READY", ("letters", 3): "READY"}
    assert one.repository.get("letters").version == 3


async def test_a_model_that_was_asked_for_by_version_keeps_it(tmp_path, polled: Make):
    put_bare(tmp_path, 1, 2)
    one = await polled().start({"letters": Wish(frozenset({1}))})
    tiny.put_package(tmp_path, "letters", tiny.linear_model(), LETTERS, 3)
    shutil.rmtree(tmp_path / "letters" / "1")
    await one.look()
    assert one.states() == {("letters", 1): "READY"}


async def test_a_model_can_be_given_back_to_a_policy(tmp_path, polled: Make):
    put_bare(tmp_path, 1, 2)
    one = await polled().start({"letters": Wish(frozenset({1}))})
    assert (await one.repository.load("letters", policy="latest:2")).version == 2
    assert one.states() == {("letters", 1): "READY", ("letters", 2): "READY"}
    tiny.put_package(tmp_path, "letters", tiny.linear_model(), LETTERS, 3)
    await one.look()
    assert one.states() == {("letters", 2): "READY", ("letters", 3): "READY"}


async def test_a_version_that_does_not_fit_beside_the_others_is_refused(tmp_path, polled: Make):
    put_bare(tmp_path, 1)
    one = await polled(limit=MemoryLimit(SIZE)).start()
    tiny.put_bare(tmp_path, "more", tiny.linear_model())
    await one.look()
    await one.look()
    assert one.states() == {("letters", 1): "READY", ("more", 1): "FAILED"}
    assert f"max_models_bytes is {SIZE}" in one.repository.status("more").reason


async def test_the_least_recently_used_makes_room_and_says_so_until_it_is_asked_for_again(tmp_path, polled: Make):
    for name in ("a", "b"):
        tiny.put_bare(tmp_path, name, tiny.linear_model())
    one = await polled(limit=MemoryLimit(2 * SIZE, unload_least_used=True)).start()
    rows = {"x": np.zeros((1, 3), np.float32)}
    await one.repository.get("b").predict(rows, float("inf"))
    await one.repository.get("a").predict(rows, float("inf"))
    tiny.put_bare(tmp_path, "c", tiny.linear_model())
    await one.look()
    await one.look()
    assert one.states() == {("a", 1): "READY", ("b", 1): "GONE", ("c", 1): "READY"}
    with pytest.raises(ModelNotReady, match=r"^model b version 1 is GONE: it was the least recently used"):
        one.repository.get("b")
    await one.look()
    await one.repository.load("b")
    assert one.states() == {("a", 1): "GONE", ("b", 1): "READY", ("c", 1): "READY"}
