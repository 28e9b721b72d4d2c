"""What is sent when: steps, arrivals, and which model and how many rows each call has.

Owns the drawing, all of it ahead of time and from one seed. Does not know messages nor servers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import InvalidInput

MAX_CALLS = 5_000_000
MAX_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Step:
    """So many calls a second for so many seconds."""

    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Kind:
    """Calls of one model with so many rows, and their share of all calls, 0 to 1."""

    model: str
    rows: int
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """The calls of a step: `at` [calls] float64 seconds from its start, rising; `kind` [calls] int64."""

    at: NDArray[np.float64]
    kind: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)


def steps(lowest: float, highest: float, count: int, seconds: float) -> list[Step]:
    """A ramp of `count` even steps of so many seconds; raises InvalidInput if it would never end."""
    if count == 1 and lowest != highest:
        raise InvalidInput(f"--steps: 1 came; a ramp from {lowest:g} to {highest:g} calls/s needs 2 or more")
    ramp = [Step(float(rate), seconds) for rate in np.linspace(lowest, highest, count)]
    calls = sum(step.rate * step.seconds for step in ramp)
    if calls > MAX_CALLS:
        raise InvalidInput(
            f"--rate, --seconds, --steps: {calls:.0f} calls came; at most {MAX_CALLS} are held in memory"
        )
    if count * seconds > MAX_SECONDS:
        raise InvalidInput(f"--seconds: {count * seconds:g} in all came; at most {MAX_SECONDS:g} were expected")
    return ramp


def kinds(weights: Mapping[str, float], rows: Sequence[int]) -> list[Kind]:
    """Each model by its weight, with each of the row counts as often as it stands in `rows`."""
    whole = sum(weights.values()) * len(rows)
    return [
        Kind(model, count, weight * rows.count(count) / whole)
        for model, weight in weights.items()
        for count in sorted(set(rows))
    ]


def arrivals(step: Step, mix: Sequence[Kind], random: np.random.Generator) -> Arrivals:
    """A Poisson process: given their number, its arrivals are uniform, and the gaps between them exponential."""
    calls = random.poisson(step.rate * step.seconds)
    shares: NDArray[Any] = np.array([kind.share for kind in mix])
    return Arrivals(np.sort(random.uniform(0, step.seconds, calls)), random.choice(len(mix), calls, p=shares))
