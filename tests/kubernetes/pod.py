"""A server run as a pod of deploy/kubernetes would run it, and asked as the kubelet would ask.

Owns the process, its folders and the probes. The variables are those of the rendered Deployment, but for the folders
and for ports that are free; the state is laid out as the kubelet lays out a ConfigMap, so that a change is a swap of
links. Does not know containers: file systems, users and limits are Kubernetes' own to enforce.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from serving.client.client import Client
from tests.kubernetes.manifests import Resource, container, environment, pod_templates

WAIT_SECONDS = 60
STATE = "desired_state.json"


class Pod:
    """A server that runs, with the probes of its container."""

    def __init__(self, resources: tuple[Resource, ...], folder: Path, process: subprocess.Popen[bytes]) -> None:
        self._container = container(resources)
        self._grace = pod_templates(resources)["Deployment"]["spec"]["terminationGracePeriodSeconds"]
        self._process = process
        self.models = folder / "models"
        self._state = folder / "state"

    def probe(self, name: str, port: int) -> bool:
        """What the kubelet takes the probe of that name for: its service is SERVING, in time."""
        probe = self._container[name]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            try:
                answer = HealthStub(channel).Check(
                    HealthCheckRequest(service=probe["grpc"]["service"]), timeout=probe["timeoutSeconds"]
                )
            except grpc.RpcError:
                return False
        return bool(answer.status == HealthCheckResponse.SERVING)

    def replace_state(self, text: str) -> None:
        """Change the ConfigMap as the kubelet does: a new folder, and one rename of the link to it."""
        put_config_map(self._state, text)

    def terminate(self) -> None:
        """Send SIGTERM, as after preStop."""
        self._process.send_signal(signal.SIGTERM)

    def seconds_left(self) -> float:
        """What SIGTERM leaves until SIGKILL."""
        return float(self._grace - self._container["lifecycle"]["preStop"]["sleep"]["seconds"])

    def wait(self, seconds: float) -> int:
        """The exit code. Raises TimeoutExpired where Kubernetes would kill it."""
        return self._process.wait(seconds)


def put_config_map(folder: Path, text: str) -> None:
    """Lay out a ConfigMap with one file: FILE → ..data/FILE, ..data → a folder of its own."""
    stamp = f"..{time.monotonic_ns()}"
    (folder / stamp).mkdir(parents=True)
    (folder / stamp / STATE).write_text(text, encoding="utf-8")
    (folder / "..data.new").symlink_to(stamp)
    (folder / "..data.new").rename(folder / "..data")
    if not (folder / STATE).is_symlink():
        (folder / STATE).symlink_to(f"..data/{STATE}")


def healthz(port: int) -> int:
    """The HTTP status of /healthz."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def until(what: str, holds: Callable[[], bool]) -> float:
    """Wait until it holds; the seconds that it took. Raises AssertionError after a minute."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < WAIT_SECONDS, f"not within {WAIT_SECONDS} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - started


@contextmanager
def pod(resources: tuple[Resource, ...], folder: Path, port: int, metrics_port: int) -> Iterator[Pod]:
    """Start the server of these resources over an empty repository; it is killed in the end."""
    models, state = folder / "models", folder / "state"
    models.mkdir()
    put_config_map(state, '{"schema": 1, "revision": 0, "models": {}}')
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIGNET_")},
        **environment(resources),
        "SIGNET_MODELS": str(models),
        "SIGNET_STATE": str(state),
        "SIGNET_HOST": "127.0.0.1",
        "SIGNET_PORT": str(port),
        "SIGNET_METRICS_PORT": str(metrics_port),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "serving"], env=variables, stderr=log)
        try:
            yield Pod(resources, folder, process)
        except (AssertionError, subprocess.TimeoutExpired):
            sys.stdout.write((folder / "log").read_text("utf-8"))
            raise
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def labels(port: int, model: str) -> set[str]:
    """The labels of a model's versions."""
    with Client(f"127.0.0.1:{port}") as client:
        return {label for status in client.models() if status.model == model for label in status.labels}
