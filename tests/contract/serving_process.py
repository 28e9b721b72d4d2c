"""`signet-serve` as a process of its own, as operators run it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(models: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve `models` on free ports; gives the process and its port once it serves, and kills it in the end."""
    with serving_and_scraped(models, *flags) as (process, port, _):
        yield process, port


@contextmanager
def serving_and_scraped(models: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """The same; gives the port of its metrics too."""
    command = [sys.executable, "-m", "serving", "--models", str(models), "--port", "0", "--metrics-port", "0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = _last_line_of_start(process)
        yield process, _number(line, "port"), _number(line, "metrics_port")
    finally:
        process.kill()
        process.communicate()


def run_to_end(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `signet-serve` with these flags and variables until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "serving", *flags],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _last_line_of_start(process: subprocess.Popen[str]) -> str:
    """The line that says which ports were taken."""
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "metrics_port" in line and _number(line, "port"):
            return line
    raise AssertionError(f"the server did not start: {''.join(lines)}")


def _number(line: str, name: str) -> int:
    """That of a field in a log line of either format; 0 if there is none."""
    found = re.search(rf"\b{name}\"?[=:] ?(\d+)", line)
    return int(found[1]) if found else 0
