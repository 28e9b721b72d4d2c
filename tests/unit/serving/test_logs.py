"""Every log line of the process, whoever wrote it, goes to stderr in the one format that was chosen."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from serving.logs import configure_logs


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_json_line_is_one_object_with_time_level_logger_and_values(capsys):
    configure_logs("json", "info")
    structlog.get_logger("signet").info("model", model="letters", version=3)
    (line,) = lines(capsys)
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "model", "level": "info", "logger": "signet", "model": "letters", "version": 3}


def test_each_line_of_a_worker_says_which_one_it_is(capsys):
    configure_logs("json", "info", worker=2)
    structlog.get_logger("signet").info("model")
    logging.getLogger("somewhere").warning("text")
    assert [json.loads(line)["worker"] for line in lines(capsys)] == [2, 2]


def test_the_standard_librarys_loggers_come_in_the_same_format(capsys):
    configure_logs("json", "info")
    logging.getLogger("somewhere").warning("%d of %d", 1, 2)
    (line,) = lines(capsys)
    assert {**json.loads(line), "timestamp": ""} == {
        "event": "1 of 2",
        "level": "warning",
        "logger": "somewhere",
        "timestamp": "",
    }


def test_a_value_that_is_none_is_left_out(capsys):
    configure_logs("json", "info")
    structlog.get_logger("signet").info("model", reason=None)
    (line,) = lines(capsys)
    assert "reason" not in json.loads(line)


@pytest.mark.parametrize("source", [structlog.get_logger("signet"), logging.getLogger("signet.inner")])
def test_lines_below_the_level_are_not_written(capsys, source):
    configure_logs("json", "warning")
    source.info("quiet")
    source.error("loud")
    assert [json.loads(line)["event"] for line in lines(capsys)] == ["loud"]


def test_a_trace_stays_within_its_json_line(capsys):
    configure_logs("json", "info")
    try:
        int("x")
    except ValueError:
        structlog.get_logger("signet").exception("internal error")
    (line,) = lines(capsys)
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_console_lines_are_for_people_and_uncoloured_where_stderr_is_no_terminal(capsys):
    configure_logs("console", "info")
    structlog.get_logger("signet").info("serving", port=8500)
    (line,) = lines(capsys)
    assert "serving" in line
    assert "port=8500" in line
    assert "\x1b" not in line
