"""A model's runs give way to the threads that talk to callers."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from serving.inference.core_order import (
    LONE_CORE_NICENESS,
    NICENESS,
    SLICE_NANOSECONDS,
    put_callers_first,
    runner,
)
from serving.inference.session import OnnxSession, SessionSettings
from tests import tiny_models as tiny
from tests.slices import needs_slices, slice_nanoseconds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")


def niceness(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


def threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def niceness_of_each(some: set[int]) -> set[int]:
    """Of those threads that are still there."""
    found = set()
    for thread in some:
        with suppress(ProcessLookupError):
            found.add(niceness(thread))
    return found


def in_a_thread(work: Callable[[], object]) -> object:
    """Elsewhere than in the thread of the tests, which stays as it is."""
    with ThreadPoolExecutor(1) as one:
        return one.submit(work).result()


def test_a_runner_is_as_nice_as_can_be():
    with runner("run-tiny-1", cores=2) as one:
        assert niceness(one.submit(threading.get_native_id).result()) == NICENESS


def test_a_runner_that_wakes_takes_no_core_from_a_thread_at_work():
    with runner("run-tiny-1", cores=2) as one:
        assert os.sched_getscheduler(one.submit(threading.get_native_id).result()) == os.SCHED_BATCH
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_the_threads_of_a_session_opened_in_a_runner_give_way_as_it_does():
    with runner("run-tiny-1", cores=2) as one:
        one.submit(int).result()
        before = threads()
        session = one.submit(OnnxSession.open, tiny.linear_model(), SessionSettings(intra_op_threads=3)).result()
        opened = threads() - before
        assert niceness_of_each(opened) == {NICENESS}
        assert {os.sched_getscheduler(thread) for thread in opened} == {os.SCHED_BATCH}
        assert session.intra_op_threads == 3


def test_on_one_core_a_runner_keeps_more_of_it():
    with runner("run-tiny-1", cores=1) as one:
        assert one.submit(niceness, 0).result() == LONE_CORE_NICENESS


@pytest.mark.parametrize("refused", ["setpriority", "getpriority", "sched_getscheduler", "sched_setscheduler"])
def test_where_priorities_are_refused_runs_are_made_all_the_same(refused, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(f"{refused} is not allowed")

    monkeypatch.setattr(os, refused, refuse)
    assert in_a_thread(put_callers_first) is None
    with runner("run-tiny-1", cores=2) as one:
        assert one.submit(sum, (1, 2)).result() == 3


def test_what_made_a_runner_keeps_its_priority():
    before = niceness(0)
    with runner("run-tiny-1", cores=2) as one:
        one.submit(int).result()
        assert niceness(0) == before


@needs_slices
class TestSlices:
    def test_threads_that_talk_to_callers_have_the_shortest(self):
        def slices() -> tuple[int, object]:
            put_callers_first()
            return slice_nanoseconds(0), in_a_thread(lambda: slice_nanoseconds(0))

        assert in_a_thread(slices) == (SLICE_NANOSECONDS, SLICE_NANOSECONDS)

    def test_a_runner_that_they_make_has_the_usual_one(self):
        def of_a_runner() -> object:
            put_callers_first()
            with runner("run-tiny-1", cores=2) as one:
                return one.submit(slice_nanoseconds, 0).result()

        assert in_a_thread(of_a_runner) == slice_nanoseconds(0)
        assert slice_nanoseconds(0) > SLICE_NANOSECONDS

    def test_they_keep_policy_and_niceness(self):
        def kept() -> tuple[int, int]:
            put_callers_first()
            return os.sched_getscheduler(0), niceness(0)

        assert in_a_thread(kept) == (os.sched_getscheduler(0), niceness(0))
