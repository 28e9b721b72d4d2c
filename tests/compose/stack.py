"""The services of deploy/compose.yaml under a project name of their own, with ports and volumes of their own.

Owns how they are started, looked into and removed. Does not know what is asked of them.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "deploy" / "compose.yaml"
PROJECT = "signet-compose-test"
HOST = "127.0.0.1"
SERVERS = ("serve-1", "serve-2")

Found = TypeVar("Found")


class CheckFailed(Exception):
    """Something is not as it should be; the text says what."""


def check(*, that: bool, otherwise: str) -> None:
    """Raise CheckFailed with `otherwise` unless `that` is so."""
    if not that:
        raise CheckFailed(otherwise)


def wait_for(what: str, found: Callable[[], Found], seconds: float) -> Found:
    """What `found` gives once that is true; asked every half second. Raises CheckFailed after `seconds`."""
    end = time.monotonic() + seconds
    while not (result := found()):
        check(that=time.monotonic() < end, otherwise=f"waited {seconds:g} s in vain for {what}; last: {result!r}")
        time.sleep(0.5)
    return result


def run(command: Sequence[str], *, seconds: float = 120, environment: dict[str, str] | None = None) -> str:
    """The standard output of a command that must succeed. Raises CheckFailed with what it said."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, env=environment, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"{' '.join(command)}: not done after {seconds:g} s") from None
    if done.returncode:
        raise CheckFailed(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def compose_command() -> list[str]:
    """Compose as it is installed here. Raises CheckFailed with a sentence if no engine answers, or without compose."""
    docker = shutil.which("docker")
    if docker is None:
        raise CheckFailed("docker is not installed; this test starts containers")
    if not _succeeds([docker, "info"]):
        raise CheckFailed("no Docker engine answers (`docker info` fails); start one, or join the group docker")
    if _succeeds([docker, "compose", "version"]):
        return [docker, "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise CheckFailed("neither `docker compose` nor docker-compose is installed")


def source_revision() -> str:
    """The commit that the images are built from, for their label."""
    try:
        return run(["git", "rev-parse", "HEAD"]).strip()
    except (CheckFailed, OSError):
        return "unknown"


class Stack:
    """The project; `environment` is what compose.yaml reads beside the ports."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command = [*command, "-p", PROJECT, "-f", str(COMPOSE_FILE)]
        balance, prometheus = _free_ports(2)
        ports = {"BALANCE_PORT": str(balance), "PROMETHEUS_PORT": str(prometheus)}
        self.environment = {**os.environ, **ports, **environment}
        self.address = f"{HOST}:{balance}"
        self._prometheus = f"http://{HOST}:{prometheus}"

    @contextmanager
    def removed_at_the_end(self) -> Iterator[None]:
        """Nothing of an earlier run is there, and nothing of this one stays; the logs are printed if it failed."""
        self._down()
        try:
            yield
        except BaseException:
            print(self.compose("logs", "--no-color", "--tail", "60")[-20_000:])
            raise
        finally:
            self._down()

    def compose(self, *arguments: str, seconds: float = 120) -> str:
        """The standard output of a compose command."""
        return run([*self._command, *arguments], seconds=seconds, environment=self.environment)

    def tool(self, *arguments: str, seconds: float = 120) -> str:
        """What `signet` says, as a client in a container of its own."""
        return run(self.tool_command(*arguments), seconds=seconds, environment=self.environment)

    def tool_command(self, *arguments: str) -> list[str]:
        """The command of that, to be run in `environment`."""
        return [*self._command, "run", "--rm", "-T", "load", *arguments]

    def train(self, *arguments: str, seconds: float) -> str:
        """What `signet-train` says, in a container of its own."""
        container = ("run", "--rm", "-T", "--entrypoint", "signet-train", "train")
        return self.compose(*container, *arguments, seconds=seconds)

    def inside(self, service: str, *arguments: str) -> str:
        """The standard output of a command in the container of a service."""
        return run(["docker", "exec", self.container(service), *arguments])

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return self.compose("ps", "-q", service).strip()

    def health(self, service: str) -> str:
        """What the HEALTHCHECK of its image says."""
        return run(["docker", "inspect", "-f", "{{.State.Health.Status}}", self.container(service)]).strip()

    def balanced(self) -> set[str]:
        """The servers that the balancer sends calls to."""
        asking = (
            "import urllib.request as u; print(u.urlopen('http://balance:8405/metrics', timeout=5).read().decode())"
        )
        page = ""
        for server in SERVERS:
            try:
                page = self.inside(server, "python", "-c", asking)
                break
            except CheckFailed:
                continue
        ups = (f'haproxy_server_status{{proxy="servers",server="{server}",state="UP"}} 1' for server in SERVERS)
        return {server for server, line in zip(SERVERS, ups, strict=True) if line in page}

    def wait_balanced(self, servers: set[str], seconds: float = 60) -> None:
        """Wait until the balancer sends calls to these servers and no others."""
        wait_for(f"the balancer to use {', '.join(sorted(servers))} alone", lambda: self.balanced() == servers, seconds)

    def query(self, expression: str) -> dict[str, float]:
        """What the real Prometheus gives for an expression: value by the only label of each series, "" without one."""
        address = f"{self._prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        return {
            "".join(series["metric"].values()): float(series["value"][1]) for series in _json(address)["data"]["result"]
        }

    def targets(self) -> dict[str, str]:
        """What Prometheus says of the health of each target, by its job and address."""
        found = _json(f"{self._prometheus}/api/v1/targets")["data"]["activeTargets"]
        return {f"{one['labels']['job']} {one['labels']['instance']}": one["health"] for one in found}

    def rules(self) -> dict[str, str]:
        """What Prometheus says of the health of each rule, by its name."""
        groups = _json(f"{self._prometheus}/api/v1/rules")["data"]["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    def copy_out(self, path: str, folder: Path) -> None:
        """Copy a file or folder of the first server into `folder`."""
        run(["docker", "cp", f"{self.container(SERVERS[0])}:{path}", str(folder)])

    def _down(self) -> None:
        self.compose("--profile", "load", "down", "--volumes", "--remove-orphans", "--timeout", "5")


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def _json(address: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own http
            read: dict[str, Any] = json.load(answer)
            return read
    except (urllib.error.URLError, ConnectionError) as error:
        raise CheckFailed(f"{address}: {error}") from error


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:  # until the last is known, so that they differ
        return [held.enter_context(socket.create_server((HOST, 0))).getsockname()[1] for _ in range(count)]
