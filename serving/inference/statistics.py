"""RunStatistics: how often a version ran, for how many callers and rows, and how long that took.

Owns the exact figures by rows of a run, which histograms of metrics have not. Does not know requests.
"""

import threading
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Duration:
    """So often, so many seconds in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count what took `seconds`, for each of `times`."""
        self.count += times
        self.seconds += seconds * times


@dataclass(slots=True)
class RunStatistics:
    """The runs of one version since it was loaded, counted from any thread.

    `callers`: each run for every caller in it; `by_rows`: each run by its rows; `last_run_time`: of its end, in seconds
    since the epoch, 0 if there was none.
    """

    rows: int = 0
    callers: Duration = field(default_factory=Duration)
    by_rows: dict[int, Duration] = field(default_factory=dict)
    last_run_time: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def runs(self) -> int:
        """How many there were."""
        return sum(run.count for run in list(self.by_rows.values()))

    def add(self, callers: int, rows: int, seconds: float) -> None:
        """Count one run."""
        with self._lock:
            self.rows += rows
            self.callers.add(seconds, callers)
            same = self.by_rows.get(rows)
            if same is None:
                same = self.by_rows[rows] = Duration()
            same.add(seconds)
            self.last_run_time = time.time()
