"""LoopCalls: what threads have the event loop do.

Owns the way there. Knows neither callers nor runs, so that nothing that refers to one forms a circle, whose memory
would wait for the collector.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from serving.inference.waiting import Waiting


class LoopCalls:
    """Calls made on one event loop, in order, soon after they were asked for from whichever thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self) -> None:
        """Take the running loop, the first time; what is asked for before is lost."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()

    def call(self, callback: Callable[..., None], *arguments: object) -> None:
        """Have the loop call `callback`, unless it is closed: then nobody waits for what would come of it."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(callback, *arguments)

    def fail(self, caller: Waiting, error: Exception) -> None:
        """Have the loop give `caller` an error."""
        self.call(caller.fail, error)
