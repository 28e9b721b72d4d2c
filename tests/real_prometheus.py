"""The real Prometheus and its promtool, from Debian's package `prometheus`.

A developer without them is told what to install, and the tests are skipped; CI has them.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

WAIT_SECONDS = 60
LOOK_SECONDS = 0.1


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`."""
    path = shutil.which(name)
    if path is None:
        text = f"{name} is not on PATH: apt-get install prometheus"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return path


class Prometheus:
    """A running Prometheus; its HTTP API."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, **fields: str) -> Any:
        """The `data` of an answer. Raises AssertionError with Prometheus' own words for what it does not understand."""
        try:
            with urlopen(
                f"http://127.0.0.1:{self._port}/api/v1/{path}?{urlencode(fields)}", timeout=WAIT_SECONDS
            ) as response:
                return json.load(response)["data"]
        except HTTPError as error:
            with error:
                raise AssertionError(f"{fields}: {error.read().decode()}") from error

    def query(self, expr: str) -> list[dict[str, Any]]:
        """What `expr` gives now: `metric` and `value`."""
        return self.ask("query", query=expr)["result"]

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=WAIT_SECONDS):
                return True
        except (HTTPError, URLError, ConnectionError):
            return False


def wait_until(is_so: Callable[[], bool]) -> bool:
    """Whether it becomes so."""
    end = time.monotonic() + WAIT_SECONDS
    while not (so := is_so()) and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
    return so


@contextmanager
def real_prometheus(folder: Path, config: Path) -> Iterator[Prometheus]:
    """A Prometheus by `config`, on a free loopback port, its data in `folder`, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    with (folder / "prometheus.log").open("w+") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            started = Prometheus(port)
            assert wait_until(lambda: started.is_ready() or process.poll() is not None)
            assert process.poll() is None, Path(log.name).read_text()
            yield started
        finally:
            process.terminate()
