"""The committed stubs are those that `make protos` writes."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def _stubs(root: Path) -> dict[str, bytes]:
    stubs = [path for pattern in ("*_pb2*.py", "*_pb2*.pyi") for path in (root / "protos").rglob(pattern)]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in stubs}


def test_stubs_are_byte_for_byte_what_their_protos_generate(tmp_path):
    protos = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "protos").rglob("*.proto"))
    # protoc looks for its plugins (protoc-gen-mypy) on PATH.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, *protos],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        check=True,
        timeout=120,
    )

    committed, generated = _stubs(ROOT), _stubs(tmp_path)
    differing = sorted(
        name for name in committed.keys() | generated.keys() if committed.get(name) != generated.get(name)
    )

    assert differing == [], "run `make protos` and commit what it writes"
