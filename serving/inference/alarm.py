"""Alarm: what has to happen at a time, for the earliest of many times.

Owns one timer of the event loop, set anew only where an earlier time comes, so that a time costs a comparison. Does not
know what the times are of.
"""

import asyncio
from collections.abc import Callable

NEVER = float("inf")


class Alarm:
    """Calls `ring` at `time` by `clock`, in seconds; `ring` gives the next time, NEVER if there is none.

    Whoever has a time earlier than `time` sets it. To be used from one event loop.
    """

    def __init__(self, ring: Callable[[], float], clock: Callable[[], float]) -> None:
        self.time = NEVER
        self._ring = ring
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def set(self, time: float) -> None:
        """Ring at `time` and no more at the one before."""
        self.stop()
        if time < NEVER:
            self.time = time
            self._timer = asyncio.get_running_loop().call_later(max(0.0, time - self._clock()), self._go_off)

    def stop(self) -> None:
        """Do not ring."""
        self.time = NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Never ring again, and let go of whom it would call: in a circle, its memory would wait for the collector."""
        self.stop()
        self._ring = _never

    def _go_off(self) -> None:
        self._timer = None
        self.time = NEVER
        self.set(self._ring())


def _never() -> float:
    return NEVER
