"""The repository on disk: `<model>/<version>/`.

Owns which folders are models and versions, and the names that callers may ask for. Does not know states.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from serving.errors import InvalidInput, ModelBroken
from serving.repository.manifest_limits import MODEL_NAME


def model_names(root: Path) -> Iterator[str]:
    """The folders below `root` that can be models."""
    return (path.name for path in root.iterdir() if path.is_dir() and MODEL_NAME.fullmatch(path.name))


def versions_on_disk(model_folder: Path) -> Iterator[int]:
    """The versions in a model's folder: positive integers that hold a manifest or a bare ONNX file."""
    if not model_folder.is_dir():
        return
    for path in model_folder.iterdir():
        if re.fullmatch(r"[1-9][0-9]{0,17}", path.name) and _holds_model(path):
            yield int(path.name)


def check_there(folder: Path) -> None:
    """Raise ModelBroken if a version's folder holds none."""
    if not _holds_model(folder):
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


def _holds_model(folder: Path) -> bool:
    return any((folder / file).is_file() for file in ("manifest.json", "model.onnx"))
