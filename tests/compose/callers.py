"""Callers who ask all the time while something is done to the servers, with the client's own tries.

Owns their rate and the count of what they lost. Does not know what is done meanwhile.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from serving.client import Client
from serving.errors import ServingError
from tests.compose.packages import Package

THREADS = 4
PAUSE_SECONDS = 0.02
MOST_CALLS = 20_000
TIMEOUT_SECONDS = 15.0


@dataclass(slots=True)
class Counts:
    """What became of the calls; `slowest_seconds` includes the tries."""

    calls: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.calls} calls, {len(self.lost)} lost, {len(self.wrong)} wrong, "
            f"the slowest took {self.slowest_seconds:.2f} s"
        )


@contextmanager
def asking(address: str, package: Package) -> Iterator[Counts]:
    """Ask for the golden rows again and again over one connection until the block ends, which begins under load."""
    counts, lock, stopping = Counts(), threading.Lock(), threading.Event()
    with Client(address, timeout_seconds=TIMEOUT_SECONDS) as client:
        threads = [
            threading.Thread(target=_ask, args=[client, package, counts, lock, stopping]) for _ in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield counts
        finally:
            stopping.set()
            for thread in threads:
                thread.join()


def _ask(client: Client, package: Package, counts: Counts, lock: threading.Lock, stopping: threading.Event) -> None:
    while not stopping.wait(PAUSE_SECONDS) and counts.calls < MOST_CALLS:
        lost = wrong = ""
        started = time.monotonic()
        try:
            answer = client.predict(package.model, package.golden, return_outputs=True)
            wrong = package.complaint(answer)
        except ServingError as error:
            lost = f"{type(error).__name__}: {error}"
        with lock:
            counts.calls += 1
            counts.lost += [lost] if lost else []
            counts.wrong += [wrong] if wrong else []
            counts.slowest_seconds = max(counts.slowest_seconds, time.monotonic() - started)
