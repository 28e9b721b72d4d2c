"""`make clients`: other people's clients, unmodified, against a running server, on each transport.

The other scripts in this folder are clients, in Python, shell (.sh) and Node (.mjs). Each begins with `requirements: `
lines for an environment of its own (`environments.py`; their message classes and ours could not live in one process),
and may say what else the machine must have: then it is left out where that is not so. It is started in the root of the
source as `SCRIPT HOST:PORT REPOSITORY`, prints a line for each thing that it has checked, and exits 0 if all were as
expected. What is served is in `put_models`; control is allowed, and each script gets a server of its own.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from onnx import TensorProto

from serving.logs import configure_logs
from serving.rpc.transport import CAPABILITIES
from tests import tiny_models as tiny
from tests.clients.environments import ROOT, missing, requirements, start
from tests.running_server import running_server

SCRIPT_SECONDS = 180

IDENTITIES = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "fp16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "fp32": TensorProto.FLOAT,
    "fp64": TensorProto.DOUBLE,
    "bytes": TensorProto.STRING,
}


def put_models(repository: Path) -> None:
    """What clients find: `shades` (images), `sums` (sigmoid over features a, b, c), `letters` (labels a, b, c), `pairs`
    (two inputs, two outputs), `slow`, and an `identity_<datatype>` of x → y, [rows, 2], for each datatype."""
    tiny.put_shades(repository)
    tiny.put_sums(repository)
    tiny.put_bare(repository, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    tiny.put_bare(repository, "pairs", tiny.two_outputs_model())
    tiny.put_bare(repository, "slow", tiny.slow_model())
    for name, datatype in IDENTITIES.items():
        tiny.put_bare(repository, f"identity_{name}", tiny.identity_model(datatype))


def run(script: Path, transport: str) -> bool:
    """Whether the client found everything as it expects."""
    started = start(script)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        put_models(repository)
        with running_server(repository, allow_control=True, transport=transport) as server:
            print(f"== {script.stem} on {transport}", flush=True)
            command = [*started.command, f"127.0.0.1:{server.port}", str(repository)]
            try:
                return (
                    subprocess.run(command, cwd=ROOT, env=started.env, check=False, timeout=SCRIPT_SECONDS).returncode
                    == 0
                )
            except subprocess.TimeoutExpired:
                print(f"{script.stem}: no end after {SCRIPT_SECONDS} s")
                return False


def is_script(path: Path) -> bool:
    """Whether this file is a client."""
    return path.suffix in {".py", ".sh", ".mjs"} and bool(requirements(path))


def main() -> int:
    """Run the scripts; 1 if one of them failed."""
    scripts = {path.stem: path for path in sorted(Path(__file__).parent.iterdir()) if is_script(path)}
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clients", nargs="*", metavar="client", help=f"of {', '.join(scripts)}; all if none is named")
    parser.add_argument("--transport", choices=sorted(CAPABILITIES), action="append", help="each of them if not given")
    flags = parser.parse_args()
    unknown = set(flags.clients) - set(scripts)
    if unknown:
        parser.error(f"no client is named {', '.join(sorted(unknown))}")
    configure_logs("console", "error")
    chosen = []
    for name in flags.clients or scripts:
        if lacking := missing(scripts[name]):
            print(f"skip {name}: it needs {lacking}")
        else:
            chosen.append(name)
    outcomes = {
        (name, transport): run(scripts[name], transport)
        for name in chosen
        for transport in flags.transport or sorted(CAPABILITIES)
    }
    for (name, transport), passed in outcomes.items():
        print(f"{'ok  ' if passed else 'FAIL'} {name} on {transport}")
    return 0 if all(outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
