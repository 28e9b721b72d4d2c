"""Progress of a fit: percent, loss, accuracy, rows a second, time left.

Owns the look: a moving bar on a terminal, a line now and then elsewhere. Does not know what is fitted.
"""

import time
from collections.abc import Mapping
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

LINE_SECONDS = 5.0


class FitProgress:
    """Shows a fit of `epochs` epochs of `rows` rows each. Use as a context manager.

    `done_epochs`: so many were done before, in `seconds`, of them `augment_seconds` to augment.
    """

    def __init__(
        self,
        epochs: int,
        rows: int,
        console: Console,
        done_epochs: int = 0,
        seconds: float = 0.0,
        augment_seconds: float = 0.0,
    ) -> None:
        self._epochs = epochs
        self._total = epochs * rows
        self._rows_per_epoch = rows
        self._console = console
        self._done = self._done_before = done_epochs * rows
        self._seconds_before = seconds
        self.augment_seconds = augment_seconds
        self._figures = ""
        self._started = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(
            "fit", total=self._total, completed=self._done, epoch=f"{done_epochs + 1}/{epochs}", figures=""
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @property
    def seconds(self) -> float:
        """How long the fit has taken, with what was done before."""
        return self._seconds_before + time.monotonic() - self._started

    def augmented(self, seconds: float) -> None:
        """So long it took to augment."""
        self.augment_seconds += seconds

    def rows(self, count: int) -> None:
        """So many more rows were trained on."""
        self._done += count
        self._show(self._done // self._rows_per_epoch)

    def epoch(self, number: int, epochs: int, figures: Mapping[str, float]) -> None:
        """Epoch `number` of `epochs` has ended with these figures."""
        self._done = number * self._rows_per_epoch
        self._figures = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self._show(number, last=number == epochs)

    def _show(self, epochs_done: int, *, last: bool = False) -> None:
        now = time.monotonic()
        speed = (self._done - self._done_before) / max(now - self._started, 1e-9)
        epoch = f"{min(epochs_done + (not last), self._epochs)}/{self._epochs}"
        self._bar.update(self._task, completed=self._done, epoch=epoch, figures=f"{self._figures}  {speed:,.0f} rows/s")
        if not self._console.is_terminal and (last or now - self._last_line >= LINE_SECONDS):
            self._last_line = now
            left = (self._total - self._done) / max(speed, 1e-9)
            done = f"{self._done / self._total:4.0%}"
            self._console.print(
                f"epoch {epoch}  {done}  {self._figures}  {speed:,.0f} rows/s  {left:.0f} s left",
                highlight=False,
                soft_wrap=True,
            )
