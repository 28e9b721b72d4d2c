"""How far a load test is, on stderr: percent and time left.

Owns the line that is drawn over and over on a terminal; elsewhere, a line a step. Does not know calls.
"""

import sys
from collections.abc import Sequence

from serving.client.load.plan import Step


class ProgressLine:
    """To be told of steps and seconds; `close` leaves a clean line."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._seconds = sum(step.seconds for step in steps)
        self._told = -1

    def __call__(self, index: int, seconds: float) -> None:
        """Step `index`, counted from 0, has run for so many seconds."""
        step = self._steps[index]
        done = sum(one.seconds for one in self._steps[:index]) + min(seconds, step.seconds)
        text = (
            f"step {index + 1} of {len(self._steps)}, {step.rate:g} calls/s: "
            f"{100 * done / self._seconds:.0f} %, {self._seconds - done:.0f} s left"
        )
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
        elif index != self._told:
            sys.stderr.write(f"{text}\n")
        self._told = index

    def close(self) -> None:
        """End the line."""
        if sys.stderr.isatty() and self._told >= 0:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
