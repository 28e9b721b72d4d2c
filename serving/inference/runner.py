"""The thread that a model's runs go to, which gives way to the threads that talk to callers.

Owns its priority: a smaller share of a core, and no right to take one from a thread at work there. Does not know
models. Measured on 2 cores, under a flood of a heavy model: with 64 rows a request, a lone caller of a tiny one had 322
of its 2,197 calls a second if all threads were equal, and 2,142 of 2,280 with the smaller share; with 16 requests of a
row, its p99 was 5 to 9 times of its own alone with the smaller share, and 4 to 5 times with both.
"""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

NICENESS = 10
"""Added to that of the process."""


def runner(name: str) -> ThreadPoolExecutor:
    """One thread `name`. The threads of a session that is opened in it have its priority too."""
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_give_way)


def _give_way() -> None:
    # Elsewhere priorities are those of the process.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        # A thread that slept at the end of an operator is owed time: as it wakes, the kernel would give it the core of
        # the event loop until the next tick, 4 ms. Sandboxed kernels may not know the policy, and are right without.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
