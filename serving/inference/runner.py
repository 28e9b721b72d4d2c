"""The thread that a model's runs go to, which gives way to the threads that talk to callers.

Owns its priority. Measured on 2 cores, while a heavy model was flooded: a lone caller of a tiny one waited 7 ms (p99)
for the processor if all threads were equal, and below 2 ms so. Does not know what is run.
"""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

NICENESS = 5
"""Added to that of the process."""


def runner(name: str) -> ThreadPoolExecutor:
    """One thread `name`. Sessions opened in it give their own threads its priority."""
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_give_way)


def _give_way() -> None:
    # Elsewhere priorities are those of the process.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
