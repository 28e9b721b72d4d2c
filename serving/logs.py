"""What logs, and how its lines leave the process.

Owns the one configuration of the standard library's logging. Lines go through a bounded queue to a thread that writes
them: a pipe that nobody reads and a full disk cost lines, which are counted, and never an answer. Does not know who
logs.
"""

import logging
import os
import queue
import sys
import threading
from typing import Literal

from serving.log_lines import ConsoleLines, JsonLines

STDERR = 2

WAITING_LINES = 4096
"""Lines that wait for the writer; more are dropped."""

FLUSH_SECONDS = 1.0
"""How long an exit waits for lines that cannot be written."""


class Log:
    """A logger whose lines carry values: `info("model", version=3)`. One that is None is left out."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **values: object) -> None:
        """Tell what happened."""
        self._logger.info(event, extra={"values": values})

    def error(self, event: str, error: BaseException | None = None, **values: object) -> None:
        """Tell what went wrong, with the trace of `error`."""
        self._logger.error(event, exc_info=error, extra={"values": values})


def configure_logs(log_format: Literal["console", "json"], level: str, worker: int | None = None) -> None:
    """Send every log line of the process to stderr in one format, from `level` on; `worker` is told in each."""
    # Python has no sys.stderr where the process was started without one; the descriptor is then somebody else's.
    has_stderr = sys.stderr is not None
    handler = QueuedLines(STDERR) if has_stderr else logging.NullHandler()
    colors = has_stderr and os.isatty(STDERR)
    handler.setFormatter(JsonLines(worker) if log_format == "json" else ConsoleLines(worker, colors=colors))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def dropped_log_lines() -> int:
    """Lines that this process has dropped since its logs were configured."""
    return sum(one.dropped for one in logging.getLogger().handlers if isinstance(one, QueuedLines))


class QueuedLines(logging.Handler):
    """Writes lines to a descriptor, in a thread of its own; who logs never waits.

    A line that finds the queue full, or that cannot be written, is dropped; the next that can be is followed by one
    that says how many were. `flush` and `close` wait at most FLUSH_SECONDS.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: queue.SimpleQueue[bytes | threading.Event] = queue.SimpleQueue()
        # Each is counted by one thread.
        self._not_queued = 0
        self._not_written = 0
        self._told = 0
        self._torn = False
        self._closed = threading.Event()
        # A daemon, since it may stand in a write for ever. It writes to the descriptor: the interpreter's end would
        # wait for the lock of a buffered stream.
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    @property
    def dropped(self) -> int:
        """Lines dropped so far."""
        return self._not_queued + self._not_written

    def emit(self, record: logging.LogRecord) -> None:
        """Put the line in the queue."""
        if self._lines.qsize() >= WAITING_LINES:
            self._not_queued += 1
            return
        try:
            self._lines.put(self._line(record))
        except Exception:  # noqa: BLE001 - as logging has it: a line that cannot be made hurts nobody
            self._not_queued += 1

    def flush(self) -> None:
        """Wait until what was logged is written."""
        if not self._closed.is_set():
            written = threading.Event()
            self._lines.put(written)
            written.wait(FLUSH_SECONDS)

    def close(self) -> None:
        """Write what was logged, and end the thread."""
        if not self._closed.is_set():
            self._lines.put(self._closed)
            self._closed.wait(FLUSH_SECONDS)
        super().close()

    def _write_all(self) -> None:
        while not self._closed.is_set():
            line = self._lines.get()
            if isinstance(line, threading.Event):
                line.set()
            else:
                self._write(line)

    def _write(self, line: bytes) -> None:
        try:
            self._write_whole(line)
            if (dropped := self.dropped) > self._told:
                self._write_whole(self._line(_notice(dropped - self._told)))
                self._told = dropped
        except OSError:
            self._not_written += 1

    def _write_whole(self, line: bytes) -> None:
        """One write where the system takes it, so that lines of several workers do not mix."""
        left = b"\n" + line if self._torn else line
        while left:
            left = left[os.write(self._descriptor, left) :]
            self._torn = bool(left)

    def _line(self, record: logging.LogRecord) -> bytes:
        return (self.format(record) + "\n").encode(errors="backslashreplace")


def _notice(dropped: int) -> logging.LogRecord:
    text = "%d log lines were dropped: they came faster than stderr takes them"
    return logging.LogRecord("signet.log", logging.WARNING, __file__, 0, text, (dropped,), None)
