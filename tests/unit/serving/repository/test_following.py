"""A repository is held to what the file wants, whoever wrote it, and the others are told."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from serving.errors import ModelBroken, Unavailable
from serving.inference.session import SessionSettings
from serving.metrics import Metrics
from serving.repository.desired_state import Edit, StateFile
from serving.repository.following import StateFollower
from serving.repository.loading import Loader, LoadSettings
from serving.repository.repository import ModelRepository
from tests import tiny_models as tiny


def exactly(versions: frozenset[int]) -> Edit:
    return lambda wish: replace(wish, versions=versions)


class OtherWorkers:
    """A team that notes what it is told, and that has the failures it is given."""

    def __init__(self) -> None:
        self.applied: list[tuple[int, list[str]]] = []
        self.waited_for: list[int] = []
        self.failures: list[str] = []

    def tell_applied(self, revision: int, failures: list[str]) -> None:
        self.applied.append((revision, failures))

    async def agreed(self, revision: int) -> list[str]:
        self.waited_for.append(revision)
        return self.failures


class Process:
    """A repository at `root` that follows the file there, scanned."""

    def __init__(self, root: Path) -> None:
        self.team = OtherWorkers()
        self.file = StateFile(root)
        self.follower = StateFollower(self.file, self.team)
        loader = Loader(LoadSettings(SessionSettings(1), max_batch_rows=8, queue_rows=100), Metrics())
        self.repository = ModelRepository(root, loader, lambda _: self._changed.set(), 5.0, self.follower)
        self._changed = asyncio.Event()

    async def scan(self) -> "Process":
        await self.repository.scan(self.follower.begin())
        return self

    async def catch_up(self) -> None:
        await self.follower.catch_up(self.repository.follow)

    async def until(self, states: dict[tuple[str, int], str]) -> None:
        """Return when the states are these."""
        async with asyncio.timeout(10):
            while self.states() != states:
                self._changed.clear()
                await self._changed.wait()

    def states(self) -> dict[tuple[str, int], str]:
        return {(one.name, one.version): str(one.state) for one in self.repository.statuses()}


@pytest.fixture
async def process(tmp_path):
    """Start a process on tmp_path, with versions 1 to 3 of `letters`; closed at the end."""
    for version in (1, 2, 3):
        tiny.put_bare(tmp_path, "letters", tiny.linear_model(), version)
    started: list[Process] = []

    async def start() -> Process:
        started.append(Process(tmp_path))
        return await started[-1].scan()

    yield start
    for one in started:
        await one.repository.close()


async def test_what_one_process_loads_another_follows(process):
    one, other = await process(), await process()
    await one.repository.load("letters", 1)
    await other.catch_up()
    assert one.states() == other.states() == {("letters", 1): "READY"}
    assert other.team.applied == [(1, [])]


async def test_what_one_process_unloads_another_does_too(process):
    one, other = await process(), await process()
    await one.repository.unload("letters")
    await other.catch_up()
    assert one.states() == other.states() == {}


async def test_a_call_waits_until_all_have_followed_its_own_revision(process):
    one = await process()
    await one.repository.load("letters", 1)
    await one.repository.load("letters", 2)
    assert one.team.waited_for == [1, 2]


async def test_a_worker_that_could_not_follow_is_told_of(process):
    one = await process()
    one.team.failures = ["worker 2: no memory"]
    with pytest.raises(ModelBroken, match="not every worker could follow: worker 2: no memory"):
        await one.repository.load("letters", 1)


async def test_a_start_loads_what_was_asked_for_and_not_the_highest(process):
    one = await process()
    assert one.states() == {("letters", 3): "READY"}
    await one.repository.load("letters", 2)
    assert (await process()).states() == {("letters", 2): "READY"}
    await one.repository.unload("letters")
    assert (await process()).states() == {}


async def test_a_model_that_nobody_asked_about_is_scanned_as_ever(process, tmp_path):
    one = await process()
    await one.repository.load("letters", 2)
    tiny.put_bare(tmp_path, "numbers", tiny.linear_model())
    assert (await process()).states() == {("letters", 2): "READY", ("numbers", 1): "READY"}


async def test_a_version_that_was_asked_for_and_is_not_there_is_failed_with_that_reason(process):
    (await process()).file.change("letters", exactly(frozenset({9})))
    started = await process()
    assert started.states() == {("letters", 9): "FAILED"}
    assert started.repository.status("letters").reason == "it is wanted, but not in the repository"


async def test_what_was_ready_stays_where_nothing_that_is_wanted_loads(process):
    one = await process()
    one.file.change("letters", exactly(frozenset({9})))
    await one.catch_up()
    assert one.states() == {("letters", 3): "READY", ("letters", 9): "FAILED"}
    (applied,) = one.team.applied
    assert applied == (1, ["model letters version 9 failed to load: it is wanted, but not in the repository"])


async def test_several_versions_can_be_wanted(process):
    one = await process()
    one.file.change("letters", exactly(frozenset({1, 2})))
    await one.catch_up()
    assert one.states() == {("letters", 1): "READY", ("letters", 2): "READY"}


async def test_a_file_that_breaks_changes_nothing_until_it_is_whole_again(process):
    one = await process()
    one.file.path.write_text("no json")
    await one.catch_up()
    assert one.states() == {("letters", 3): "READY"}
    one.file.path.unlink()
    one.file.change("letters", exactly(frozenset({1})))
    await one.catch_up()
    assert one.states() == {("letters", 1): "READY"}


async def test_what_cannot_be_written_is_not_done(process):
    one = await process()
    one.file.path.write_text("no json")
    for change in (one.repository.load("letters", 1), one.repository.unload("letters")):
        with pytest.raises(Unavailable, match="nothing was changed"):
            await change
    assert one.states() == {("letters", 3): "READY"}


async def test_changes_are_followed_until_it_is_cancelled(process):
    one, other = await process(), await process()
    following = asyncio.create_task(other.follower.follow(other.repository.follow))
    await one.repository.load("letters", 1)
    await other.until(one.states())
    following.cancel()


async def test_a_change_goes_on_though_its_caller_has_gone(process):
    one = await process()
    caller = asyncio.create_task(one.repository.load("letters", 1))
    await one.until({("letters", 1): "LOADING", ("letters", 3): "READY"})
    caller.cancel()
    await one.until({("letters", 1): "READY"})
    assert caller.cancelled()
