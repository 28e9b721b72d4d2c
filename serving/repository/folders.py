"""The repository on disk: `<model>/<version>/`.

Owns which folders are models and versions, when one of them was changed, and the names that callers may ask for. Does
not know states.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from serving.errors import InvalidInput, ModelBroken
from serving.repository.manifest_limits import MODEL_NAME

MANIFEST = "manifest.json"
MODEL = "model.onnx"

Stamp = tuple[str, int, int, int]
"""Which file says that a version is there, and its modification time, inode and size."""

OnDisk = Mapping[int, Stamp | None]
"""The versions of one model; None for one that is still being written."""


def model_names(root: Path) -> Iterator[str]:
    """The folders below `root` that can be models."""
    return (path.name for path in root.iterdir() if path.is_dir() and MODEL_NAME.fullmatch(path.name))


def versions_on_disk(model_folder: Path) -> dict[int, Stamp | None]:
    """The versions in a model's folder: positive integers that hold a manifest or a bare ONNX file."""
    try:
        paths = list(model_folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    stamps = ((path.name, _stamp(path)) for path in paths if re.fullmatch(r"[1-9][0-9]{0,17}", path.name))
    return {int(name): stamp for name, stamp in stamps if stamp is not None}


def models_on_disk(root: Path) -> dict[str, OnDisk]:
    """Every model below `root` that has versions. Raises OSError."""
    found = ((name, versions_on_disk(root / name)) for name in model_names(root))
    return {name: versions for name, versions in found if versions}


def model_bytes(folder: Path) -> int:
    """The size of a version's ONNX file, and of the weights beside it."""
    return sum(path.stat().st_size for path in folder.glob(f"{MODEL}*"))


def check_there(folder: Path) -> None:
    """Raise ModelBroken if a version's folder holds none."""
    if _stamp(folder) is None:
        raise ModelBroken("it is wanted, but not in the repository")


def check_name(name: str) -> None:
    """Raise InvalidInput for what cannot be a model's name."""
    if not MODEL_NAME.fullmatch(name):
        raise InvalidInput(
            f"model: {name[:128]!r} is no model name; 1 to 128 letters, digits, '_', '.' and '-' were expected"
        )


def not_found(name: str, version: int | None, known: list[int]) -> str:
    """Which version of a model is not there, and which are."""
    if not known:
        return f"no model named {name}"
    return f"model {name} has no version {version}; it has {', '.join(map(str, known))}"


def _stamp(folder: Path) -> Stamp | None:
    for name in (MANIFEST, MODEL):
        try:
            found = (folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return name, found.st_mtime_ns, found.st_ino, found.st_size
    return None
