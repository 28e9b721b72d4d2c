"""What `make compose-test` does to the running services, a function each; each raises CheckFailed with what is wrong.

Owns what is expected. Does not know the order, nor how containers are reached.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from serving.client import Client
from serving.errors import InvalidInput, Unavailable
from tests.compose.callers import Counts, asking
from tests.compose.packages import Package, read_package
from tests.compose.stack import ROOT, SERVERS, CheckFailed, Stack, check, run, wait_for

TASKS = ("pima", "shapes", "fashion_mnist")
BASE = "python:3.11-slim-bookworm"
MOST_MEGABYTES = 400
CALLS = 300
TRAINING_SECONDS = 1500
BY_HAND = {"fashion_mnist": "2", "shapes": "1"}
SKIPPED = "nothing to train"
OK_CALLS = 'sum by (instance) (signet_request_seconds_count{method="Predict", code="OK"})'
RESTART_LOAD = ("--rate", "40", "--seconds", "100", "--deadline-ms", "10000", "--max-errors", "0")


def build(stack: Stack) -> str:
    """Build both images; the server's is small."""
    stack.compose("--profile", "load", "build", "train", *SERVERS, "load", seconds=1800)
    sizes = {image: _megabytes(image) for image in (BASE, "signet:local", "signet-trainer:local")}
    beside = sizes["signet:local"] - sizes[BASE]
    check(
        that=beside <= MOST_MEGABYTES,
        otherwise=f"the server's image has {beside:.0f} MB beside its base; at most {MOST_MEGABYTES} were expected",
    )
    trainer = sizes["signet-trainer:local"] - sizes[BASE]
    return f"beside a base of {sizes[BASE]:.0f} MB the server has {beside:.0f} MB, the trainer {trainer:.0f} MB"


def train(stack: Stack) -> str:
    """Train into the empty volume, without a network: what takes long by hand in bounded time, then what is missing."""
    told = ""
    for task, minutes in BY_HAND.items():
        arguments = (task, "--out", "/models", "--budget-minutes", minutes)
        told += stack.train(*arguments, seconds=TRAINING_SECONDS)
    stack.compose("up", "--no-build", "train", seconds=TRAINING_SECONDS)
    told += stack.compose("logs", "--no-color", "train")
    check(
        that=told.count("package: /models/") == len(TASKS) and told.count(SKIPPED) == len(BY_HAND),
        otherwise=f"{len(TASKS)} packages were expected, {len(BY_HAND)} of them by hand:\n{told[-3000:]}",
    )
    return "; ".join(re.findall(r"\btest: (\d.*)", told))


def start(stack: Stack) -> str:
    """Start the servers, which come after a training with nothing to do, the balancer and Prometheus."""
    stack.compose("up", "-d", "--no-build", "balance", "prometheus", seconds=300)
    log = stack.compose("logs", "--no-color", "train")
    check(
        that=log.count(SKIPPED) == len(BY_HAND) + len(TASKS),
        otherwise=f"the trainer did not skip what is there:\n{log[-3000:]}",
    )
    stack.wait_balanced(set(SERVERS))
    for server in SERVERS:
        wait_for(f"{server} to be healthy", lambda server=server: stack.health(server) == "healthy", 90)  # type: ignore[misc]
    return "both servers are healthy by their own client, and the balancer found both SERVING by grpc.health"


def look_inside(stack: Stack) -> str:
    """The servers run as nobody in particular, cannot write, and have no TensorFlow."""
    for server in SERVERS:
        who = stack.inside(server, "id", "-u").strip()
        check(that=who == "10001", otherwise=f"{server} runs as user {who}; 10001 was expected")
        for path in ("/opt/signet/x", "/models/x", "/x"):
            _refused(stack, server, ["touch", path], "Read-only file system")
        _refused(stack, server, ["python", "-c", "import tensorflow"], "No module named 'tensorflow'")
        stack.inside(server, "python", "-c", "import pygrpc_native")
    labels = json.loads(run(["docker", "image", "inspect", "-f", "{{json .Config.Labels}}", "signet:local"]))
    names = [f"org.opencontainers.image.{name}" for name in ("version", "revision", "licenses")]
    check(that=all(labels.get(name) for name in names), otherwise=f"OCI labels: {labels} came; {names} were expected")
    return f"user 10001, read-only, no TensorFlow, native installed; {', '.join(labels[name] for name in names)}"


def ask_from_a_container(stack: Stack) -> str:
    """Each package's test split through the balancer gives the accuracy of its report."""
    told = [stack.tool("evaluate", f"/models/{task}/1", seconds=300).strip() for task in TASKS]
    check(that=all("as its report states" in one for one in told), otherwise="\n".join(told))
    return "; ".join(told)


def copy_packages(stack: Stack, folder: Path) -> dict[str, Package]:
    """What the packages say, for callers on this machine."""
    packages = {}
    for task in TASKS:
        stack.copy_out(f"/models/{task}/1", folder / task)
        packages[task] = read_package(folder / task)
    return packages


def ask_from_this_machine(stack: Stack, packages: dict[str, Package]) -> str:
    """Golden rows come back as recorded; so does what the server itself says of a message of 50 MB."""
    with Client(stack.address) as client:
        for package in packages.values():
            complaint = package.complaint(client.predict(package.model, package.golden, return_outputs=True))
            check(that=not complaint, otherwise=complaint)
        large = np.zeros((30_000, *packages["shapes"].split.shape[1:]), np.uint8)
        try:
            client.predict("shapes", large)
        except InvalidInput as error:
            refused = str(error)
        else:
            raise CheckFailed("30,000 rows in one request were answered; a refusal was expected")
    rows = sum(len(package.golden) for package in packages.values())
    return f"{rows} golden rows by label and output; {large.nbytes / 1e6:.0f} MB in one message: {refused!r}"


def find_the_calls(stack: Stack, package: Package) -> str:
    """Every call over one connection is in Prometheus, and both servers had their part."""
    wait_for("all targets to be up", lambda: set(stack.targets().values()) == {"up"}, 60)
    before = _settled(stack)
    with Client(stack.address) as client:
        for index in range(CALLS):
            row = index % len(package.split)
            client.predict(package.model, package.split[row : row + 1])
    after = _settled(stack)
    shares = {instance: after[instance] - before.get(instance, 0) for instance in after}
    check(that=sum(shares.values()) == CALLS, otherwise=f"{shares} came; {CALLS} calls were sent")
    check(
        that=len(shares) == len(SERVERS) and min(shares.values()) >= CALLS / 4,
        otherwise=f"{shares} came; each server was expected to have a good part of the {CALLS} calls",
    )
    rules = wait_for("rules to be evaluated", lambda: _evaluated(stack), 60)
    parts = ", ".join(f"{count:.0f} on {instance}" for instance, count in sorted(shares.items()))
    return f"{CALLS} calls over one connection: {parts}; {len(rules)} rules are evaluated"


def restart_one_after_the_other(stack: Stack) -> str:
    """Both servers are restarted under the load test's calls, which nobody tries again: none is lost or wrong."""
    command = ["load-test", *TASKS, "--packages", "/models", "--json", "--html", "/reports/load.html", *RESTART_LOAD]
    with _load(stack, command) as load:
        for server in SERVERS:
            stack.compose("restart", server, seconds=90)
            stack.wait_balanced(set(SERVERS))
        check(that=load.poll() is None, otherwise="the load ended before the restarts did")
        told, complaints = load.communicate(timeout=180)
    check(
        that=load.returncode == 0,
        otherwise=f"the load test ended with {load.returncode}: {told[-2000:]} {complaints[-1000:]}",
    )
    (step,) = json.loads(told)["steps"]
    check(that=set(step["statuses"]) == {"OK"}, otherwise=f"{step['statuses']} came; OK alone was expected")
    return f"{json.dumps(step['statuses'])}, {step['wrong']} wrong, p99 {step['accepted_ms']['p99']:.0f} ms"


def publish_a_version(stack: Stack, packages: dict[str, Package]) -> str:
    """A new version appears in the volume while callers ask; both servers take it, and its answers are its own."""
    with asking(stack.address, packages["shapes"]) as counts:
        stack.train("pima", "--recipe", "seed", "--out", "/models", seconds=TRAINING_SECONDS)
        for server in SERVERS:
            wait_for(f"{server} to have pima 2", lambda server=server: _default_version(stack, server) == 2, 30)  # type: ignore[misc]
    _unharmed(counts)
    with Client(stack.address) as client:
        details = client.model("pima")
        versions = {client.predict("pima", packages["pima"].golden).version for _ in range(40)}
    check(that=versions == {2}, otherwise=f"versions {versions} answered; 2 alone was expected")
    return f"pima 2 of recipe {details.recipe} answers on both; meanwhile {counts}"


def kill_one(stack: Stack, package: Package) -> str:
    """A server that is killed loses no call: the balancer or the client asks the other one."""
    victim = stack.container(SERVERS[1])
    with asking(stack.address, package) as counts:
        wait_for("calls under way", lambda: counts.calls > 100, 30)
        run(["docker", "kill", "-s", "KILL", victim])
        stack.wait_balanced({SERVERS[0]})
        run(["docker", "start", victim])
        stack.wait_balanced(set(SERVERS))
        enough = counts.calls + 100
        wait_for("calls after its return", lambda: counts.calls > enough, 30)
    _unharmed(counts)
    return f"{SERVERS[1]} killed with -9 and started again: {counts}"


def without_a_server(stack: Stack) -> str:
    """Where there is no server, a caller gets UNAVAILABLE and a sentence, at once."""
    stack.compose("stop", *SERVERS, seconds=120)
    try:
        with Client(stack.address) as client:
            client.health()
    except Unavailable as error:
        return str(error)
    raise CheckFailed("no server runs, but health was answered")


def _megabytes(image: str) -> float:
    return int(run(["docker", "image", "inspect", "-f", "{{.Size}}", image])) / 1e6


def _refused(stack: Stack, server: str, command: list[str], text: str) -> None:
    try:
        stack.inside(server, *command)
    except CheckFailed as refusal:
        check(that=text in str(refusal), otherwise=f"{server}: {text!r} was expected: {refusal}")
    else:
        raise CheckFailed(f"{server}: {' '.join(command)} succeeded; {text!r} was expected")


def _evaluated(stack: Stack) -> dict[str, str]:
    """The rules, if there are some and Prometheus can evaluate each of them."""
    rules = stack.rules()
    return rules if set(rules.values()) == {"ok"} else {}


def _settled(stack: Stack) -> dict[str, float]:
    """The calls that Prometheus knows, once each server was scraped after now."""
    now = time.time()
    latest = f"min(timestamp(up{{job='signet'}})) > {now}"
    wait_for("a scrape of each server", lambda: stack.query(latest), 60)
    return stack.query(OK_CALLS)


@contextmanager
def _load(stack: Stack, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """`signet load-test` in a container of its own, once its calls arrive."""
    seen = sum(stack.query(OK_CALLS).values())
    load = subprocess.Popen(
        stack.tool_command(*command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=stack.environment,
        cwd=ROOT,
    )
    try:
        wait_for("calls of the load test", lambda: sum(stack.query(OK_CALLS).values()) > seen + 100, 60)
        yield load
    finally:
        load.terminate()
        load.wait(30)


def _default_version(stack: Stack, server: str) -> int:
    told = stack.inside(server, "signet", "models", "--json")
    statuses = [json.loads(line) for line in told.splitlines() if line]
    found = [one for one in statuses if one["model"] == "pima" and one["is_default"] and one["state"] == "READY"]
    return int(found[0]["version"]) if found else 0


def _unharmed(counts: Counts) -> None:
    examples = (counts.lost + counts.wrong)[:3]
    check(that=not examples, otherwise=f"{counts}: {examples}")
