"""A model's runs give way to the threads that talk to callers."""

import os
import sys
import threading
from pathlib import Path

import pytest

from serving.inference.runner import NICENESS, runner
from serving.inference.session import OnnxSession, SessionSettings
from tests import tiny_models as tiny

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")


def niceness(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


def threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def test_a_runner_is_nicer_than_who_made_it():
    with runner("run-tiny-1") as one:
        assert niceness(one.submit(threading.get_native_id).result()) == niceness(0) + NICENESS


def test_a_runner_that_wakes_takes_no_core_from_a_thread_at_work():
    with runner("run-tiny-1") as one:
        assert os.sched_getscheduler(one.submit(threading.get_native_id).result()) == os.SCHED_BATCH
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_the_threads_of_a_session_opened_in_a_runner_give_way_as_it_does():
    with runner("run-tiny-1") as one:
        one.submit(int).result()
        before = threads()
        session = one.submit(OnnxSession.open, tiny.linear_model(), SessionSettings(intra_op_threads=3)).result()
        opened = threads() - before
        assert {niceness(thread) for thread in opened} == {niceness(0) + NICENESS}
        assert {os.sched_getscheduler(thread) for thread in opened} == {os.SCHED_BATCH}
        assert session.intra_op_threads == 3


def test_what_made_a_runner_keeps_its_priority():
    before = niceness(0)
    with runner("run-tiny-1") as one:
        one.submit(int).result()
        assert niceness(0) == before
