"""Settings come from flags before the environment before defaults; every bad value is told at once, by its name."""

import os
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from serving.settings import Settings
from serving.settings_reading import read_settings


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith("SIGNET_")]:
        monkeypatch.delenv(name)


def complaint(arguments: list[str]) -> list[str]:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - its text is what each test is about
        read_settings(arguments)
    return str(error.value).splitlines()


def test_without_flags_and_environment_the_defaults_hold():
    settings = read_settings([])
    assert (settings.models, settings.host, settings.port, settings.metrics_port) == (
        Path("models"),
        "127.0.0.1",
        8500,
        8501,
    )
    assert (settings.providers, settings.tf32, settings.strict_nodes) == ("cpu", False, False)
    assert (settings.allow_control, settings.allow_empty, settings.reflection) == (False, False, True)


def test_the_environment_wins_over_the_default(monkeypatch):
    monkeypatch.setenv("SIGNET_MAX_BATCH_ROWS", "7")
    assert read_settings([]).max_batch_rows == 7


def test_a_flag_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("SIGNET_MAX_BATCH_ROWS", "7")
    assert read_settings(["--max-batch-rows", "9"]).max_batch_rows == 9


def test_a_switch_of_the_environment_can_be_turned_off_by_its_flag(monkeypatch):
    monkeypatch.setenv("SIGNET_TF32", "true")
    assert read_settings([]).tf32
    assert not read_settings(["--no-tf32"]).tf32


def test_every_bad_value_is_told_at_once_with_its_flag_its_variable_and_what_came(monkeypatch):
    monkeypatch.setenv("SIGNET_LOG_FORMAT", "xml")
    lines = complaint(["--port", "70000", "--metrics-port", "many", "--providers", "tpu", "--drain-seconds", "-1"])
    assert lines == [
        "port (--port, SIGNET_PORT): '70000' came; an integer >= 0 and <= 65535 was expected",
        "metrics_port (--metrics-port, SIGNET_METRICS_PORT): 'many' came; an integer >= 0 and <= 65535 was expected",
        "providers (--providers, SIGNET_PROVIDERS): 'tpu' came; 'cpu', 'cuda' or 'auto' was expected",
        "drain_seconds (--drain-seconds, SIGNET_DRAIN_SECONDS): '-1' came; a number >= 0 was expected",
        "log_format (--log-format, SIGNET_LOG_FORMAT): 'xml' came; 'console' or 'json' was expected",
    ]


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--device-id", "-1"),
        ("--gpu-memory-limit-bytes", "-1"),
        ("--intra-op-threads", "-1"),
        ("--max-batch-rows", "0"),
        ("--queue-rows", "0"),
        ("--max-request-rows", "0"),
        ("--max-message-bytes", "1023"),
        ("--max-image-pixels", "0"),
        ("--lame-duck-seconds", "nan"),
        ("--cudnn-conv-search", "FAST"),
        ("--log-level", "loud"),
        ("--access-log", "some"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(flag, value):
    (line,) = complaint([flag, value])
    assert line.startswith(f"{flag.removeprefix('--').replace('-', '_')} ({flag}, SIGNET_")
    assert f"'{value}' came" in line


def test_a_queue_that_could_not_take_the_largest_request_is_refused():
    assert complaint(["--queue-rows", "99", "--max-request-rows", "100"]) == [
        "queue_rows is 99; at least max_request_rows (100) was expected, or the largest request could never be queued"
    ]
    assert read_settings(["--queue-rows", "100", "--max-request-rows", "100"]).queue_rows == 100


def test_a_flag_that_is_none_ends_the_program_with_2(capsys):
    with pytest.raises(SystemExit) as end:
        read_settings(["--prot", "8500"])
    assert end.value.code == 2
    assert "--prot" in capsys.readouterr().err


def test_help_explains_every_setting(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit) as end:
        read_settings(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for one in fields(Settings):
        assert f"--{one.name.replace('_', '-')}" in text
        assert one.metadata["meaning"]
        assert one.metadata["meaning"] in text


def test_a_setting_with_a_unit_names_it_in_its_description():
    units = {"bytes": "bytes", "seconds": "seconds", "rows": "Rows", "pixels": "Pixels"}
    descriptions = {one.name: one.metadata["meaning"] for one in fields(Settings)}
    told = {
        name: unit in descriptions[name] for name in descriptions for end, unit in units.items() if name.endswith(end)
    }
    assert told
    assert all(told.values())


def test_settings_cannot_be_changed_once_read():
    with pytest.raises(FrozenInstanceError):
        read_settings([]).port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "endpoint", ["", "collector:4317", "[::1]:4317", "http://10.0.0.1:4317", "https://otel.example:443"]
)
def test_traces_go_to_a_host_and_port(endpoint):
    assert read_settings(["--trace-endpoint", endpoint]).trace_endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    ["collector", "4317", "grpc://collector:4317", "http://collector:4317/v1/traces", "collector:65536", "collector:0"],
)
def test_traces_that_would_go_nowhere_are_refused(endpoint):
    with pytest.raises(ValueError, match="host:port, http://host:port or https://host:port was expected"):
        read_settings(["--trace-endpoint", endpoint])
