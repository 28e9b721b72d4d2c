"""Which threads get a core first: those that talk to callers, before those that a model's runs go to.

Owns niceness, policy and slice of our threads, where the kernel has them. Does not know models.

A kernel with a tick of 4 ms looks no oftener whether a thread has had its share. One that wakes beside a run has to be
let in at once, and Linux 6.12 and later do so if its slice is the shorter one and it has not had more than its share
(sched_setattr(2); the EEVDF scheduler). Measured there, under a flood of a heavy model on 2 cores, the p99 of a lone
caller of a tiny one was 5 to 13 times its own alone with the usual slices and niceness 10 for runs, 5 to 6 with short
slices, and 1.5 to 4 if moreover runs have niceness 19, so that callers' threads have seldom had more. Runs do not
starve: beside 40,000 calls a second of the tiny model, the heavy one kept 0.14 to 0.16 of its pace; 0.23 with 10.
"""

import ctypes
import os
import platform
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

NICENESS = 19
"""Of the threads of runs; the most there is."""

LONE_CORE_NICENESS = 10
"""The same on one core. There, beside 25,000 calls a second of a tiny model, the heavy one kept 0.07 of its pace and
took 3 s to load; with 19, 0.01 and 22 s."""

SLICE_NANOSECONDS = 100_000
"""Of the threads that talk to callers; the least that the kernel grants."""

SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""The number of the system call: most C libraries have no function for it."""
SCHED_ATTR = struct.Struct("IIQiIQQQ")
"""The first struct sched_attr: size, policy, flags, niceness, priority, runtime (of a thread that is not a real-time
one, its slice; 0 is the kernel's own), deadline, period."""
KEEP_POLICY = 0x08
"""A flag, from Linux 5.3 on."""


def put_callers_first() -> None:
    """Let this thread, and those that it makes from now on, have a core as soon as they wake beside a run."""
    _set_slice(SLICE_NANOSECONDS)


def runner(name: str, cores: int) -> ThreadPoolExecutor:
    """One thread `name` for runs on so many cores. The threads of a session that it opens give way as it does."""
    niceness = NICENESS if cores > 1 else LONE_CORE_NICENESS
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_give_way, initargs=(niceness,))


def _give_way(niceness: int) -> None:
    """Let this thread run where no other has to; where priorities are refused or unknown, runs are right without."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))
        # A thread that slept at the end of an operator is owed time: as it wakes, the kernel would give it the core of
        # the event loop until the next tick.
        with suppress(OSError):
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        _set_slice(0)


def _set_slice(nanoseconds: int) -> None:
    if sys.platform == "linux" and (call := SCHED_SETATTR.get(platform.machine())) is not None:
        with suppress(OSError):
            niceness = os.getpriority(os.PRIO_PROCESS, 0)
            attributes = SCHED_ATTR.pack(SCHED_ATTR.size, 0, KEEP_POLICY, niceness, 0, nanoseconds, 0, 0)
            ctypes.CDLL(None).syscall(call, 0, attributes, 0)
