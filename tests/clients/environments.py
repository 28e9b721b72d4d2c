"""What a client script needs, and how it is started once it has that.

Owns the header lines of scripts and the environments below build/clients: a Python environment, whose programs are
first on PATH, or a folder of npm packages. Does not know servers.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build" / "clients"
HEADERS = ("# requirements: ", "// requirements: ")
GLIBC_HEADER = "# needs glibc "
NODE = ".mjs"
INSTALL_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Start:
    """The command that starts a script, and the process environment that it is started in."""

    command: list[str]
    env: dict[str, str]


def requirements(script: Path) -> list[str]:
    """What a client script asks for, as pip or npm say it."""
    lines = script.read_text("utf-8").splitlines()
    return [line.removeprefix(header).strip() for line in lines for header in HEADERS if line.startswith(header)]


def missing(script: Path) -> str:
    """What this machine lacks for the script; "" if nothing."""
    if script.suffix == NODE and not (shutil.which("node") and shutil.which("npm")):
        return "node and npm"
    for line in script.read_text("utf-8").splitlines():
        if line.startswith(GLIBC_HEADER):
            needed = line.removeprefix(GLIBC_HEADER).strip()
            if _numbers(platform.libc_ver()[1]) < _numbers(needed):
                return f"glibc {needed}"
    return ""


def start(script: Path) -> Start:
    """How to start the script; what it needs is installed unless it is there."""
    # Without the paths of this process: a client must see its own packages alone.
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    if script.suffix == NODE:
        # Node looks for packages beside a script and above it.
        copy = _node_packages(script) / script.name
        shutil.copyfile(script, copy)
        return Start(["node", str(copy)], env)
    python = environment(script)
    env["PATH"] = os.pathsep.join((str(python.parent), env.get("PATH", "")))
    return Start([str(python) if script.suffix == ".py" else "bash", str(script)], env)


def environment(script: Path) -> Path:
    """The interpreter of the script's environment, which is made unless it is there."""
    folder = _folder(script)
    python = folder / "bin" / "python"
    if (folder / ".installed").exists():
        return python
    _tell(script)
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-qq"]
    else:
        _run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)])
        install = [uv, "pip", "install", "-q", "--python", str(python)]
    _run([*install, *_words(script)])
    (folder / ".installed").touch()
    return python


def _node_packages(script: Path) -> Path:
    folder = _folder(script)
    if not (folder / ".installed").exists():
        _tell(script)
        folder.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *_words(script)])
        (folder / ".installed").touch()
    return folder


def _folder(script: Path) -> Path:
    digest = hashlib.sha256("\n".join(requirements(script)).encode()).hexdigest()[:12]
    return ENVIRONMENTS / f"{script.stem}-{digest}"


def _tell(script: Path) -> None:
    print(f"{script.stem}: installing {', '.join(requirements(script))}", flush=True)


def _words(script: Path) -> list[str]:
    return [word for line in requirements(script) for word in shlex.split(line)]


def _run(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, check=True, timeout=INSTALL_SECONDS)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
