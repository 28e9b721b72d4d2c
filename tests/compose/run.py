"""`make compose-test`: deploy/compose.yaml from nothing, asked, restarted, killed, and removed again.

    python -m tests.compose.run [--transport native]

Owns the order of the steps and what is printed: what each found, and its time. Everything is removed at the end, a
failure included, but for the images. Does not know what a step does.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.compose import steps
from tests.compose.stack import CheckFailed, Stack, compose_command, source_revision


def main() -> None:
    """Run every step; exit with 1 and a sentence at the first that fails."""
    parser = argparse.ArgumentParser(prog="make compose-test")
    parser.add_argument("--transport", choices=("aio", "native"), default="aio", help="of the servers (default: aio)")
    flags = parser.parse_args()
    # So that what was started is removed then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    try:
        stack = Stack(compose_command(), {"SIGNET_TRANSPORT": flags.transport, "REVISION": source_revision()})
        with stack.removed_at_the_end(), tempfile.TemporaryDirectory() as folder:
            _walk(stack, Path(folder))
    except CheckFailed as error:
        sys.exit(f"compose-test: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"\nEvery step passed, in {time.monotonic() - started:.0f} s; transport {flags.transport}.")


def _walk(stack: Stack, folder: Path) -> None:
    _step("build both images", lambda: steps.build(stack))
    _step("train into an empty volume, without a network", lambda: steps.train(stack))
    _step("start two servers, the balancer, Prometheus", lambda: steps.start(stack))
    _step("look inside the servers", lambda: steps.look_inside(stack))
    _step("ask from a container: the test splits", lambda: steps.ask_from_a_container(stack))
    packages = steps.copy_packages(stack, folder)
    _step("ask from this machine: golden rows", lambda: steps.ask_from_this_machine(stack, packages))
    _step("find the calls in Prometheus", lambda: steps.find_the_calls(stack, packages["pima"]))
    _step("restart both servers, one after the other", lambda: steps.restart_one_after_the_other(stack))
    _step("publish a new version", lambda: steps.publish_a_version(stack, packages))
    _step("kill one server with -9", lambda: steps.kill_one(stack, packages["shapes"]))
    _step("stop both servers", lambda: steps.without_a_server(stack))


def _step(name: str, do: Callable[[], str]) -> None:
    started = time.monotonic()
    print(f"{name} ...", flush=True)
    found = do()
    print(f"  {time.monotonic() - started:.0f} s: {found}", flush=True)


if __name__ == "__main__":
    main()
