"""`signet-serve` with two workers, and what its log lines and its metrics port say."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
from prometheus_client.parser import text_string_to_metric_families

WAIT_SECONDS = 30
COMMAND = (sys.executable, "-m", "serving", "--port", "0", "--metrics-port", "0", "--log-format", "json")


class Workers:
    """The supervisor's process, ready; `pids` by the worker's number, `port`, `metrics_port`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pids: dict[int, int] = {}
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        started = self.wait_for("serving")
        self.port, self.metrics_port = started["port"], started["metrics_port"]

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next log line of this event that has these fields."""
        while True:
            line = self._lines.get(timeout=WAIT_SECONDS)
            if line["event"] == "worker ready":
                self.pids[line["worker"]] = line["pid"]
            if line["event"] == event and fields.items() <= line.items():
                return line

    def kill(self, number: int, with_signal: signal.Signals) -> None:
        """Send a signal to one worker."""
        os.kill(self.pids[number], with_signal)

    def rest(self) -> list[dict[str, Any]]:
        """The log lines not yet waited for, once supervisor and workers have ended."""
        self._reader.join()
        return [self._lines.get() for _ in range(self._lines.qsize())]

    def scrape(self) -> dict[str, list[Any]]:
        """The samples of one scrape by family."""
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=WAIT_SECONDS) as response:
            return {one.name: one.samples for one in text_string_to_metric_families(response.read().decode())}

    def eventually(self, is_so: Callable[[dict[str, list[Any]]], bool]) -> bool:
        """Whether a scrape becomes so."""
        end = time.monotonic() + WAIT_SECONDS
        while not (so := is_so(self.scrape())) and time.monotonic() < end:
            continue
        return so

    def health(self) -> int:
        """The status of GET /healthz."""
        try:
            with urlopen(f"http://127.0.0.1:{self.metrics_port}/healthz", timeout=WAIT_SECONDS) as response:
                return int(response.status)
        except HTTPError as error:
            with error:
                return error.code

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self._lines.put(json.loads(line) if line.startswith("{") else {"event": line})


@contextmanager
def two_workers(models: Path, *flags: str) -> Iterator[Workers]:
    """Serve `models` with two workers on free ports, ready; killed in the end."""
    command = [*COMMAND, "--models", str(models), "--workers", "2", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Workers(process)
        finally:
            process.terminate()
            process.wait(WAIT_SECONDS)


@contextmanager
def connections(port: int, count: int) -> Iterator[list[grpc.Channel]]:
    """As many connections of their own; among sixteen, it is sure enough that each of two workers has some."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]))
            for _ in range(count)
        ]


def total(samples: list[Any], name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())
