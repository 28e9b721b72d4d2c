"""The thread that a model's runs go to, which gives way to the threads that talk to callers.

Owns its priority. Measured on 2 cores, while a heavy model was flooded with requests of 64 rows: a lone caller of a
tiny one had 322 of its 2,197 calls a second if all threads were equal, and 2,142 of 2,280 so. Does not know models.
"""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

NICENESS = 10
"""Added to that of the process."""


def runner(name: str) -> ThreadPoolExecutor:
    """One thread `name`. The threads of a session that is opened in it have its priority too."""
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_give_way)


def _give_way() -> None:
    # Elsewhere priorities are those of the process.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
