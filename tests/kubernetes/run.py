"""`make k8s-test`: deploy/kubernetes and deploy/kserve beside the schemas, and a server run as its pod would run it.

There is no cluster in this: what an API server would refuse beyond its schemas, and all that nodes and controllers do,
`kubectl apply --dry-run=server -k ...` and a cluster tell. Exits with 1 if anything did not fit.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import kubernetes_validate

from tests import tiny_models as tiny
from tests.clients.environments import environment
from tests.kubernetes import custom_resources
from tests.kubernetes.manifests import KUSTOMIZATIONS, NEWEST, OLDEST, Resource, kserve, kubectl, rendered
from tests.kubernetes.pod import free_port, healthz, labels, pod, until

CUSTOM = ("monitoring.coreos.com/", "serving.kserve.io/")
CUSTOM_SECONDS = 120

LABELLED = '{"schema": 1, "revision": 1, "models": {"shades": {"labels": {"stable": 1}}}}'


def main() -> int:
    """Every part, even if one before it found something."""
    parser = argparse.ArgumentParser(
        prog="make k8s-test", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.parse_args()
    try:
        parts = [schemas(), custom(), life()]
    except FileNotFoundError as error:
        print(f"cannot be run: {error}")
        return 1
    except subprocess.CalledProcessError as error:
        print(
            f"cannot be run: {' '.join(map(str, error.cmd))} ended with {error.returncode}; its own words stand above"
        )
        return 1
    print("all fit" if all(parts) else "not all fit: see ✗")
    return 0 if all(parts) else 1


def schemas() -> bool:
    """Whether what Kubernetes itself knows fits the schemas of each version that the manifests are for."""
    version = subprocess.run([kubectl(), "version", "--client"], check=True, stdout=subprocess.PIPE, text=True).stdout
    print(
        f"Rendered by {', '.join(version.split(chr(10))[:2])}; no field beyond the schemas of 1.{OLDEST} to 1.{NEWEST}"
    )
    fits = True
    for kustomization in KUSTOMIZATIONS:
        print(f"kubectl kustomize deploy/kubernetes/{kustomization}")
        for it in rendered(kustomization):
            if not it["apiVersion"].startswith(CUSTOM):
                fits &= _fits(it)
    return fits


def _fits(resource: Resource) -> bool:
    name = f"{resource['apiVersion']} {resource['kind']} {resource['metadata']['name']}"
    for minor in range(OLDEST, NEWEST + 1):
        try:
            kubernetes_validate.validate(resource, f"1.{minor}", strict=True)
        except kubernetes_validate.ValidationError as error:
            print(f"  ✗ {name}, Kubernetes 1.{minor}: {'.'.join(map(str, error.path))}: {error.message[:300]}")
            return False
    print(f"  ✓ {name}")
    return True


def custom() -> bool:
    """Whether the custom resources fit what their makers publish, each in an environment of build/clients."""
    resources = [it for name in KUSTOMIZATIONS for it in rendered(name) if it["apiVersion"].startswith(CUSTOM)]
    script = Path(custom_resources.__file__)
    python = environment(script)
    print("Custom resources: kubectl kustomize deploy/kubernetes/monitoring, deploy/kserve/*.yaml", flush=True)
    given = json.dumps([*resources, *kserve()])
    done = subprocess.run([str(python), str(script)], input=given, text=True, check=False, timeout=CUSTOM_SECONDS)
    return done.returncode == 0


def life() -> bool:
    """Whether a pod's server is alive, ready, told and stopped as the Deployment has it."""
    print("A server with the settings of overlays/cpu, asked by the probes of its container")
    with tempfile.TemporaryDirectory() as folder:
        try:
            for line in _life(rendered("overlays/cpu"), Path(folder)):
                print(f"  ✓ {line}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(f"  ✗ {error}")
            return False
    return True


def _life(resources: tuple[Resource, ...], folder: Path) -> Iterator[str]:
    port, metrics_port = free_port(), free_port()
    with pod(resources, folder, port, metrics_port) as it:

        def probes(*, alive: bool, ready: bool) -> Callable[[], bool]:
            return lambda: (it.probe("livenessProbe", port), it.probe("readinessProbe", port)) == (alive, ready)

        started = until("the startup probe succeeds", lambda: it.probe("startupProbe", port))
        yield f"started after {started:.1f} s by startupProbe"
        until("alive, not ready", probes(alive=True, ready=False))
        assert healthz(metrics_port) == 503, "/healthz of an empty repository is not 503"
        yield "without a model: alive and not ready, /healthz is 503"

        tiny.put_shades(it.models)
        ready = until("ready with a model", probes(alive=True, ready=True))
        assert healthz(metrics_port) == 200, "/healthz of a server with a READY model is not 200"
        yield f"ready {ready:.1f} s after a model was published into the volume"

        it.replace_state(LABELLED)
        told = until("the label is there", lambda: labels(port, "shades") == {"stable"})
        yield f"the label of a changed ConfigMap is there after {told:.1f} s"

        it.terminate()
        stopping = time.monotonic()
        until("alive, not ready after SIGTERM", probes(alive=True, ready=False))
        assert labels(port, "shades") == {"stable"}, "calls are not answered in the lame-duck time"
        yield "after SIGTERM: alive, not ready, and calls are answered"
        assert it.wait(it.seconds_left()) == 0, "the server did not end with 0"
        yield f"ended with 0, {time.monotonic() - stopping:.0f} s after SIGTERM; it had {it.seconds_left():.0f}"


if __name__ == "__main__":
    sys.exit(main())
