"""`make clients`: other people's clients, unmodified, against a running server, on each transport.

Every other script in this folder is a client. It begins with `# requirements: ` lines, pip requirements of an
environment of its own below build/clients (their message classes and ours could not live in one process), and may say
`# needs glibc 2.38`: then it is left out where that is older. It is started as `python SCRIPT HOST:PORT REPOSITORY`,
prints a line for each thing that it has checked, and exits 0 if all were as expected. What is served is in
`put_models`; control is allowed, and each script gets a server of its own.
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from onnx import TensorProto

from serving.logs import configure_logs
from serving.rpc.transport import CAPABILITIES
from tests import tiny_models as tiny
from tests.running_server import running_server

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build" / "clients"
HEADER = "# requirements: "
GLIBC_HEADER = "# needs glibc "
SCRIPT_SECONDS = 180
INSTALL_SECONDS = 900

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


def requirements(script: Path) -> list[str]:
    """What a client script asks for."""
    lines = script.read_text("utf-8").splitlines()
    return [line.removeprefix(HEADER).strip() for line in lines if line.startswith(HEADER)]


def glibc_needed(script: Path) -> str:
    """The glibc that a client's programs need, if this machine's is older; else ""."""
    for line in script.read_text("utf-8").splitlines():
        if line.startswith(GLIBC_HEADER):
            needed = line.removeprefix(GLIBC_HEADER).strip()
            if _numbers(platform.libc_ver()[1]) < _numbers(needed):
                return needed
    return ""


def environment(script: Path) -> Path:
    """The interpreter of the script's environment, which is made unless it is there."""
    wanted = requirements(script)
    digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:12]
    folder = ENVIRONMENTS / f"{script.stem}-{digest}"
    python = folder / "bin" / "python"
    installed = folder / ".installed"
    if installed.exists():
        return python
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    print(f"{script.stem}: installing {', '.join(wanted)}", flush=True)
    if uv is None:
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-qq"]
    else:
        subprocess.run(
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)], check=True, timeout=INSTALL_SECONDS
        )
        install = [uv, "pip", "install", "-q", "--python", str(python)]
    subprocess.run([*install, *wanted], check=True, timeout=INSTALL_SECONDS)
    installed.touch()
    return python


def run(script: Path, transport: str) -> bool:
    """Whether the client found everything as it expects."""
    python = environment(script)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        put_models(repository)
        with running_server(repository, allow_control=True, transport=transport) as server:
            print(f"== {script.stem} on {transport}", flush=True)
            # Without the paths of this process: a client must see its own packages alone.
            env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
            command = [str(python), str(script), f"127.0.0.1:{server.port}", str(repository)]
            try:
                return subprocess.run(command, env=env, check=False, timeout=SCRIPT_SECONDS).returncode == 0
            except subprocess.TimeoutExpired:
                print(f"{script.stem}: no end after {SCRIPT_SECONDS} s")
                return False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def main() -> int:
    """Run the scripts; 1 if one of them failed."""
    scripts = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.py")) if requirements(path)}
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
        if needed := glibc_needed(scripts[name]):
            print(f"skip {name}: it needs glibc {needed}")
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
