"""`make fuzz`: mutated messages for each of the three APIs, on each transport, to a server process.

Owns the flags, the table and the exit code. `--seed` of a run that failed sends the same messages again, and each
fault is printed with what was sent.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from serving.rpc.transport import CAPABILITIES
from tests.fuzz.campaign import fuzz, target
from tests.fuzz.seeds import APIS, put_models

MESSAGES = 100_000
CONTROL_SHARE = 10
"""One message in so many goes to a server that lets itself be controlled; each may load a model."""

FAULTS_SHOWN = 5


def main() -> int:
    """Fuzz as asked; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=MESSAGES, help="for each API, over all transports")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--api", choices=APIS, action="append", help="each of them if not given")
    parser.add_argument("--transport", choices=sorted(CAPABILITIES), action="append", help="each of them if not given")
    flags = parser.parse_args()
    transports = flags.transport or sorted(CAPABILITIES)
    outcomes = [
        _run(api, transport, flags.messages // len(transports), flags.seed, control=control)
        for api in flags.api or APIS
        for transport in transports
        for control in (False, True)
    ]
    return 0 if all(outcomes) else 1


def _run(api: str, transport: str, messages: int, seed: int, *, control: bool) -> bool:
    of_control = messages // CONTROL_SHARE
    count = of_control if control else messages - of_control
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        put_models(Path(folder))
        flags = ["--transport", transport, *(["--allow-control"] if control else [])]
        with target(Path(folder), *flags) as served:
            tally = fuzz(served, APIS[api](), count, seed, control=control)
            if tally.faults:
                print("".join(served.log), end="")
    seconds = time.monotonic() - began
    with_control = " with control" if control else ""
    counted = ", ".join(f"{code} {number}" for code, number in tally.outcomes.most_common())
    print(f"{api} on {transport}{with_control}: {sum(tally.outcomes.values())} messages in {seconds:.0f} s: {counted}")
    for fault in tally.faults[:FAULTS_SHOWN]:
        print(f"  FAULT {fault}")
    return not tally.faults


if __name__ == "__main__":
    sys.exit(main())
