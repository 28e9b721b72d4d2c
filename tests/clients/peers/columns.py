"""`make conformance`: `signet conformance` against this server, KServe's and MLServer's, as README's table.

The peers are the scripts beside this one, each started in an environment of its own below build/clients. Printed are a
table, in which checks that all three pass are counted by group, and for each promise that a peer breaks what was sent
and what came. --json FILE keeps all results.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving.client.conformance.identity_model import write_identity_models
from serving.client.conformance.tables import MARKS
from tests.clients.environments import environment, requirements

START_SECONDS = 60
RUN_SECONDS = 300
OURS = "Signet"
PEERS = {"kserve_identity": "KServe", "mlserver_identity": "MLServer"}

Results = dict[str, dict[str, Any]]


@contextmanager
def started(name: str, *command: str) -> Iterator[int]:
    """A server while the block lasts, started by `command`, in which {port} is its port; that port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    # Without the paths of this process: a peer must see its own packages alone.
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [word.format(port=port) for word in command], env=env, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_for(port, process, name)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(port: int, process: "subprocess.Popen[bytes]", name: str) -> None:
    """Until something listens on `port`."""
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit(f"{name}: no server on port {port} within {START_SECONDS} s")


def examine(port: int) -> Results:
    """What `signet conformance` finds, by check."""
    command = [sys.executable, "-m", "serving.client", "conformance", f"127.0.0.1:{port}", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    if not ran.stdout:
        raise SystemExit(ran.stderr)
    return {one["name"]: one for one in json.loads(ran.stdout)["checks"]}


def markdown(columns: dict[str, Results]) -> str:
    """The table, and what was not met."""
    return "\n".join([*table(columns), "", *broken_promises(columns)])


def table(columns: dict[str, Results]) -> list[str]:
    """A row for each check that not all pass, one for those of a group that all do."""
    lines = [f"| promise | by | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    checks = next(iter(columns.values()))
    passed: dict[str, int] = {}
    rest = []
    for name, check in checks.items():
        outcomes = [results[name]["outcome"] for results in columns.values()]
        if set(outcomes) == {"pass"}:
            group = name.rpartition(".")[0] if name.startswith("datatypes.") else name.partition(".")[0]
            passed[group] = passed.get(group, 0) + 1
        else:
            marks = " | ".join(MARKS[outcome] for outcome in outcomes)
            rest.append(f"| `{name}`: {check['promise']} | {check['severity']} | {marks} |")
    ticks = " | ".join([MARKS["pass"]] * len(columns))
    lines += [f"| `{group}`: {count} checks that all pass | | {ticks} |" for group, count in passed.items()]
    return lines + rest


def broken_promises(columns: dict[str, Results]) -> list[str]:
    """For each MUST that a server breaks, and each convention that ours does not follow, what was sent and came."""
    lines = []
    for server, results in columns.items():
        for check in results.values():
            if check["outcome"] == "fail" or (server == OURS and check["outcome"] == "differs"):
                lines += [
                    f"- {MARKS[check['outcome']]} **{server}**, `{check['name']}` ({check['source']})",
                    f"  - sent `{check['sent']}`",
                    f"  - expected {check['expected']}",
                    f"  - came `{check['came']}`",
                ]
    return lines


def main() -> int:
    """Examine the three; 1 if ours breaks a promise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all results there")
    flags = parser.parse_args()
    columns: dict[str, Results] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_identity_models(Path(folder))
        ours = (sys.executable, "-m", "serving", "--models", folder, "--metrics-port", "0", "--port", "{port}")
        with started(OURS, *ours) as port:
            columns[OURS] = examine(port)
    for stem, name in PEERS.items():
        script = Path(__file__).parent / f"{stem}.py"
        version = requirements(script)[0].partition("==")[2]
        with started(name, str(environment(script)), str(script), "{port}") as port:
            columns[f"{name} {version}"] = examine(port)
    if flags.json:
        flags.json.write_text(json.dumps(columns, indent=1))
    print(markdown(columns))
    return int(any(check["outcome"] == "fail" for check in columns[OURS].values()))


if __name__ == "__main__":
    sys.exit(main())
