"""The map in ARCHITECTURE.md and the disk say the same.

A file has a line with its path and a phrase. A package's `__init__.py` is the line of its folder, ending in a slash. Of
tests and recorded results, only the folders that hold files have one.
"""

import re
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[3]
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$")
RESULTS = PurePosixPath("training/results")
MAPPED = ("protos", "serving", "training", "deploy")


def _map_lines() -> list[str]:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = re.search(r"^```map\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert block is not None, "ARCHITECTURE.md has no block that begins with ```map"
    return [line for line in block[1].splitlines() if line.strip()]


def _mapped_paths() -> list[str]:
    return [line.split()[0] for line in _map_lines()]


def _files(folder: str) -> list[PurePosixPath]:
    files = (path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file())
    return [
        PurePosixPath(path.as_posix())
        for path in files
        if not any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    ]


def _paths_on_disk() -> set[str]:
    handwritten = (path for folder in MAPPED for path in _files(folder) if not GENERATED.search(path.name))
    paths = {
        f"{path.parent}/" if path.name == "__init__.py" or path.parent == RESULTS else str(path) for path in handwritten
    }
    return paths | {f"{path.parent}/" for path in _files("tests")}


def test_every_handwritten_file_has_a_line_in_the_map():
    assert sorted(_paths_on_disk() - set(_mapped_paths())) == []


def test_every_line_of_the_map_names_something_on_disk():
    assert sorted(set(_mapped_paths()) - _paths_on_disk()) == []


def test_no_path_stands_in_the_map_twice():
    assert len(_mapped_paths()) == len(set(_mapped_paths()))


def test_every_line_of_the_map_is_a_path_and_a_phrase():
    assert [line for line in _map_lines() if not re.fullmatch(r"\S+ +\S+ .*\S", line)] == []
