"""Every log line of the process, whoever wrote it, goes to stderr in the one format that was chosen."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.log_lines import ConsoleLines
from serving.logs import WAITING_LINES, Log, QueuedLines, configure_logs

LOGS_3000_LINES = (
    "import logging, serving.logs as logs; logs.configure_logs('json', 'info');"
    "[logging.warning('line') for _ in range(3000)]"
)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    logging.getLogger().handlers[0].flush()
    captured = capfd.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_json_line_is_one_object_with_time_level_logger_and_values(capfd):
    configure_logs("json", "info")
    Log("signet").info("model", model="letters", version=3)
    (line,) = lines(capfd)
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "model", "level": "info", "logger": "signet", "model": "letters", "version": 3}


def test_each_line_of_a_worker_says_which_one_it_is(capfd):
    configure_logs("json", "info", worker=2)
    Log("signet").info("model")
    logging.getLogger("somewhere").warning("text")
    assert [json.loads(line)["worker"] for line in lines(capfd)] == [2, 2]


def test_the_standard_librarys_loggers_come_in_the_same_format(capfd):
    configure_logs("json", "info")
    logging.getLogger("somewhere").warning("%d of %d", 1, 2)
    (line,) = lines(capfd)
    assert {**json.loads(line), "timestamp": ""} == {
        "event": "1 of 2",
        "level": "warning",
        "logger": "somewhere",
        "timestamp": "",
    }


def test_a_value_that_is_none_is_left_out(capfd):
    configure_logs("json", "info")
    Log("signet").info("model", reason=None)
    (line,) = lines(capfd)
    assert "reason" not in json.loads(line)


@pytest.mark.parametrize("source", [Log("signet"), logging.getLogger("signet.inner")])
def test_lines_below_the_level_are_not_written(capfd, source):
    configure_logs("json", "warning")
    source.info("quiet")
    source.error("loud")
    assert [json.loads(line)["event"] for line in lines(capfd)] == ["loud"]


def test_a_trace_stays_within_its_json_line(capfd):
    configure_logs("json", "info")
    try:
        int("x")
    except ValueError as error:
        Log("signet").error("internal error", error)
    (line,) = lines(capfd)
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_console_lines_are_for_people_and_uncoloured_where_stderr_is_no_terminal(capfd):
    configure_logs("console", "info")
    Log("signet").info("serving", port=8500)
    (line,) = lines(capfd)
    assert "serving" in line
    assert "port=8500" in line
    assert "\x1b" not in line


def test_a_value_cannot_pass_for_a_line_or_another_value_on_the_console(capfd):
    configure_logs("console", "info")
    Log("signet").info("request", model="a\nb", error="x code=OK", version=2)
    (line,) = lines(capfd)
    assert line.endswith(r"error='x code=OK' model='a\nb' version=2")


def test_colours_mark_the_level_where_stderr_is_a_terminal():
    record = logging.LogRecord("signet", logging.ERROR, "", 0, "broken", (), None)
    assert "[\x1b[31merror   \x1b[0m]" in ConsoleLines(colors=True).format(record)


def logged_to(descriptor: int, lines: int) -> QueuedLines:
    handler = QueuedLines(descriptor)
    for number in range(lines):
        handler.handle(logging.LogRecord("signet", logging.INFO, "", 0, "line %d", (number,), None))
    return handler


@pytest.fixture
def unread() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_lines_that_find_the_queue_full_are_dropped_and_counted_in_lines(unread):
    reading, writing = unread
    logged = 20 * WAITING_LINES
    handler = logged_to(writing, logged)
    dropped, written = 0, 0
    with os.fdopen(os.dup(reading), encoding="utf-8") as lines:
        while dropped + written < logged:
            notice = re.fullmatch(
                r"(\d+) log lines were dropped: they came faster than stderr takes them\n", next(lines)
            )
            dropped += int(notice[1]) if notice else 0
            written += 0 if notice else 1
    handler.close()
    assert dropped == handler.dropped
    assert dropped > 0


def test_a_full_disk_costs_lines_and_nothing_else():
    with Path("/dev/full").open("wb") as full:
        handler = logged_to(full.fileno(), 10)
        handler.close()
    assert handler.dropped == 10


def test_a_clean_exit_waits_for_the_lines_still_there():
    ended = subprocess.run([sys.executable, "-c", LOGS_3000_LINES], capture_output=True, timeout=60, check=True)
    assert len(ended.stderr.splitlines()) == 3000


def test_an_exit_does_not_wait_for_a_pipe_that_nobody_reads(unread):
    _, writing = unread
    assert (
        subprocess.run([sys.executable, "-c", LOGS_3000_LINES], stderr=writing, timeout=60, check=False).returncode == 0
    )


def test_a_process_without_stderr_logs_nothing_and_runs():
    program = "import os, sys; os.close(2); sys.stderr = None; import logging, serving.logs as logs;"
    program += "logs.configure_logs('console', 'info'); logging.warning('line')"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
