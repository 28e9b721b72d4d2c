"""The versions of what trained a model, and the revision of the code that did.

Owns what is written into manifest and report about the software. Does not know either of them.
"""

import importlib.metadata
import platform
import shutil
import subprocess
from pathlib import Path

_DISTRIBUTIONS = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "keras": ("keras",),
    "numpy": ("numpy",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "tf2onnx": ("tf2onnx",),
}


def framework_versions() -> dict[str, str]:
    """Versions by name, Python's among them; a framework that is not installed is left out."""
    versions = {"python": platform.python_version()}
    for name, distributions in _DISTRIBUTIONS.items():
        for distribution in distributions:
            try:
                versions[name] = importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                continue
            break
    return versions


def source_revision() -> str | None:
    """Give the git revision of this code, with -dirty if it was changed; None where there is no git or no checkout."""
    here = Path(__file__)
    # An installed copy may lie inside somebody else's checkout, whose revision would be a lie.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [program, "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
