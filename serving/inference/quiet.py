"""Quiet: what is measured is measured alone.

Owns who waits for whom. Does not know what is measured, nor what would disturb it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Quiet:
    """One measures at a time, while nobody disturbs; several may disturb at once, while nobody measures."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._disturbing = 0
        self._measuring = False

    @contextmanager
    def disturbing(self) -> Iterator[None]:
        """Do what measuring would suffer from; waits for the end of what is measured now."""
        with self._change:
            self._change.wait_for(lambda: not self._measuring)
            self._disturbing += 1
        try:
            yield
        finally:
            with self._change:
                self._disturbing -= 1
                self._change.notify_all()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Measure; waits until nobody else does, nor disturbs."""
        with self._change:
            self._change.wait_for(lambda: not self._measuring and not self._disturbing)
            self._measuring = True
        try:
            yield
        finally:
            with self._change:
                self._measuring = False
                self._change.notify_all()
