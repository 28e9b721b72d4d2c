"""The root holds what the design names, dot-files, and what git ignores."""

from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAMED = {
    "training",
    "serving",
    "protos",
    "deploy",
    "tests",
    "pyproject.toml",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "constraints.txt",
}


def test_the_root_holds_nothing_that_the_design_does_not_name():
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()]
    names = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}

    assert sorted(name for name in names - NAMED if not any(fnmatch(name, pattern) for pattern in ignored)) == []


def test_the_root_holds_everything_that_the_design_names():
    assert sorted(name for name in NAMED if not (ROOT / name).exists()) == []
