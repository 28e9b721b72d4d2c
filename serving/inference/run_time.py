"""RunTime: what a run of so many rows will take.

Owns what past runs tell of the next: a fixed part, a part for each row, and how far runs stray from both. Does not know
clocks, callers, nor a queue.
"""

WEIGHT = 0.2
"""Of the newest run in the averages."""

STRAYS = 2.0
"""Mean deviations that a careful guess adds, as the retransmission timer of TCP does (RFC 6298 has 4, for one packet;
several runs stray less than one)."""

SLOWEST = 4.0
"""A run counts as no more than so many times its guess: one that the machine held up says little of the next."""

SAME_SIZE = 0.1
"""While rows a run differ less than by this share of their mean, all of the time is ascribed to the rows."""


class RunTime:
    """Averages over runs, older ones fading: whatever was slow once is forgotten after some dozens of runs.

    `fixed` and `row`: seconds of a run and of each of its rows, 0 until they are known; `care`: by how much to multiply
    them so that most runs take less. The first run counts for nothing, since it pays for what others do not.
    """

    __slots__ = ("_both", "_rows", "_runs", "_seconds", "_spread", "_stray", "care", "fixed", "row")

    def __init__(self) -> None:
        self.fixed = 0.0
        self.row = 0.0
        self.care = 1.0
        self._runs = 0
        self._rows = 0.0
        self._seconds = 0.0
        self._spread = 0.0
        self._both = 0.0
        self._stray = 0.0

    def guess(self, rows: int, runs: int = 1) -> float:
        """Seconds of so many `runs` of `rows` in all, more or less."""
        return runs * self.fixed + rows * self.row

    def add(self, rows: int, seconds: float) -> None:
        """Count a run of at least one row."""
        self._runs += 1
        if self._runs == 1:
            return
        if self._runs == 2:  # noqa: PLR2004 - the first that counts
            self._rows, self._seconds = rows, seconds
        else:
            guess = self.guess(rows)
            if guess > 0:
                seconds = min(seconds, SLOWEST * guess)
                self._stray += WEIGHT * (abs(seconds / guess - 1) - self._stray)
            self._average(rows, seconds)
        self._split()

    def _average(self, rows: int, seconds: float) -> None:
        """Weighted means, variance and covariance, by the update of West (1979)."""
        more_rows, more_seconds = rows - self._rows, seconds - self._seconds
        self._rows += WEIGHT * more_rows
        self._seconds += WEIGHT * more_seconds
        self._spread = (1 - WEIGHT) * (self._spread + WEIGHT * more_rows * more_rows)
        self._both = (1 - WEIGHT) * (self._both + WEIGHT * more_rows * more_seconds)

    def _split(self) -> None:
        """The line through the runs, drawn towards the one through zero where they are of one size."""
        through_zero = self._seconds / self._rows
        pull = (SAME_SIZE * self._rows) ** 2
        slope = (self._both + pull * through_zero) / (self._spread + pull)
        self.row = min(max(slope, 0.0), through_zero)
        self.fixed = max(0.0, self._seconds - self.row * self._rows)
        self.care = 1 + STRAYS * self._stray
