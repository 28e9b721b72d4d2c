"""What one log line says: JSON for machines, or text for people.

Owns both formats. Knows what `serving.logs.Log` adds to a record; does not know where lines go.
"""

import json
import logging
from abc import abstractmethod
from datetime import UTC, datetime
from typing import Any

RESET = "\x1b[0m"
BOLD = "\x1b[1m"
DIM = "\x1b[2m"
CYAN = "\x1b[36m"
COLORS = {"debug": "\x1b[32m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}

EVENT_WIDTH = 30


class Lines(logging.Formatter):
    """One line for each record, and its trace. `worker`: the number of the process, told in each line if it has one."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """The record's time, level, logger and event, and the values that are not None."""
        values: dict[str, Any] = {"worker": self._worker, **getattr(record, "values", {})}
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        head = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        return self.line(head, {name: value for name, value in values.items() if value is not None}, trace)

    @abstractmethod
    def line(self, head: dict[str, str], values: dict[str, Any], trace: str) -> str:
        """One line."""


class JsonLines(Lines):
    """An object a line; a trace is its `exception`."""

    def line(self, head: dict[str, str], values: dict[str, Any], trace: str) -> str:
        """See Lines."""
        entry = {**head, **values, "exception": trace} if trace else {**head, **values}
        return json.dumps(entry, default=str)


class ConsoleLines(Lines):
    """Columns for people; a trace follows its line."""

    def __init__(self, worker: int | None = None, *, colors: bool) -> None:
        super().__init__(worker)
        self._colors = colors

    def line(self, head: dict[str, str], values: dict[str, Any], trace: str) -> str:
        """See Lines."""
        level = head["level"]
        parts = [
            self._styled(head["timestamp"], DIM),
            f"[{self._styled(f'{level:<8}', COLORS.get(level, BOLD))}]",
            self._styled(f"{head['event']:<{EVENT_WIDTH}}", BOLD),
            f"[{self._styled(head['logger'], BOLD)}]",
            *(f"{self._styled(name, CYAN)}={_shown(value)}" for name, value in sorted(values.items())),
        ]
        return "\n".join(filter(None, (" ".join(parts), trace)))

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{RESET}" if self._colors else text


def _shown(value: object) -> str:
    """As it is where that is one word; what a caller sent cannot pass for a line or a value of ours."""
    text = str(value)
    return text if text.isprintable() and text and not any(mark in text for mark in " \"'=") else repr(text)
