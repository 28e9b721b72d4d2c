"""Which threads get a core first: those that talk to callers, before those that a model's runs go to.

Owns niceness, policy and slice of our threads, where the kernel has them. Does not know models.

A kernel with a tick of 4 ms looks no oftener whether a thread has had its share. One that wakes beside a run has to be
let in at once, and Linux 6.12 and later do so if its slice is the shorter one and it has not had more than its share
(sched_setattr(2); the EEVDF scheduler). Measured there, under a flood of a heavy model on 2 cores, the p99 of a lone
caller of a tiny one was 5 to 13 times its own alone with the usual slices and niceness 10 for runs, 5 to 6 with short
slices, and 1.5 to 4 if moreover runs have niceness 19, which makes it rare that the others have had more. Runs do not
starve: beside 40,000 calls a second of the tiny model, the heavy one kept 0.14 to 0.16 of its pace; 0.23 with 10.
"""

import ctypes
import os
import platform
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

NICENESS = 19
"""Of the threads of runs; the most there is."""

SLICE_NANOSECONDS = 100_000
"""Of the threads that talk to callers; the least there is."""

SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""The number of the system call: most C libraries have no function for it."""
SCHED_ATTR = struct.Struct("IIQiIQQQ")
"""struct sched_attr: its size, policy, flags, niceness, priority, and for a usual policy the slice, 0 for the usual."""


def put_callers_first() -> None:
    """Let this thread, and those that it makes from now on, have a core as soon as they wake beside a run."""
    if sys.platform == "linux":
        _set_slice(SLICE_NANOSECONDS)


def runner(name: str) -> ThreadPoolExecutor:
    """One thread `name` for runs. The threads of a session that is opened in it give way as it does."""
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_give_way)


def _give_way() -> None:
    # Elsewhere priorities are those of the process.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        # A thread that slept at the end of an operator is owed time: as it wakes, the kernel would give it the core of
        # the event loop until the next tick. Sandboxed kernels may not know the policy, and are right without.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        _set_slice(0)


def _set_slice(nanoseconds: int) -> None:
    """Give this thread a slice; kernels that know none, or forbid it, leave it as it is."""
    call = SCHED_SETATTR.get(platform.machine())
    if call is not None:
        policy = os.sched_getscheduler(0)
        niceness = os.getpriority(os.PRIO_PROCESS, 0)
        attributes = SCHED_ATTR.pack(SCHED_ATTR.size, policy, 0, niceness, 0, nanoseconds, 0, 0)
        ctypes.CDLL(None).syscall(call, 0, attributes, 0)
