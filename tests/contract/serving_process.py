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
    command = [sys.executable, "-m", "serving", "--models", str(models), "--port", "0", "--metrics-port", "0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process, _port(process)
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


def _port(process: subprocess.Popen[str]) -> int:
    """The port that the line says which ends the start."""
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "metrics_port" in line and (found := re.search(r"[^_]port\"?[=:] ?(\d+)", line)) and found[1] != "0":
            return int(found[1])
    raise AssertionError(f"the server did not start: {''.join(lines)}")
