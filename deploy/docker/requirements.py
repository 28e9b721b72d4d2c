"""What an image installs, read from pyproject.toml: one requirement a line, for pip's -r.

    python requirements.py pyproject.toml [EXTRA ...]

With the extra `gpu`, onnxruntime-gpu and NVIDIA's libraries stand in place of onnxruntime, since the two overwrite each
other. A layer of its own, so that a change of the sources does not install everything anew. Does not know versions:
constraints.txt does.
"""

import re
import sys
import tomllib
from pathlib import Path

GPU = "gpu"
CPU_RUNTIME = "onnxruntime"
GPU_RUNTIME = "onnxruntime-gpu"
NVIDIA_EXTRAS = "[cuda,cudnn]"


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """The dependencies and those of `extras`. Raises KeyError for an extra that is not there."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    chosen = list(project["dependencies"])
    for extra in extras:
        chosen += project["optional-dependencies"][extra]
    if GPU in extras:
        chosen = [_with_libraries(one) for one in chosen if _name(one) != CPU_RUNTIME]
    return chosen


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _with_libraries(requirement: str) -> str:
    return (
        requirement.replace(GPU_RUNTIME, GPU_RUNTIME + NVIDIA_EXTRAS)
        if _name(requirement) == GPU_RUNTIME
        else requirement
    )


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]), sys.argv[2:])))
