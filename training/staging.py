"""Where a package grows until it is whole, and how it then appears all at once.

Owns the hidden folder beside the versions, the numbering of versions, the publishing rename, and that a failed write
names its file. Does not know what a
package holds.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.task import TrainingError

_PREFIX = ".staging-"
_ATTEMPTS = 100


@contextmanager
def staging_folder(model_folder: Path) -> Iterator[Path]:
    """Give an empty hidden folder in `model_folder`; it is gone afterwards unless it was published.

    Folders that a killed run left behind are removed first; those of living runs are known by their lock and stay.
    """
    model_folder.mkdir(parents=True, exist_ok=True)
    # Made and locked under the model folder's lock, so that no other run sees it unlocked and takes it for a left one.
    with _locked(model_folder, fcntl.LOCK_EX):
        _remove_left(model_folder)
        folder = model_folder / f"{_PREFIX}{secrets.token_hex(4)}"
        folder.mkdir()
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def versions(model_folder: Path) -> list[int]:
    """Give the version numbers in `model_folder`, ascending; empty if it does not exist."""
    if not model_folder.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in model_folder.iterdir()
        if path.is_dir() and path.name.isascii() and path.name.isdigit() and int(path.name) > 0
    )


def publish(staging: Path, model_folder: Path, finish: Callable[[int], None]) -> Path:
    """Rename `staging` to the next free version after `finish(version)` has completed it; give the version's folder.

    If another run takes the number in between, `finish` is called again with the one after it.
    """
    for _ in range(_ATTEMPTS):
        version = max(versions(model_folder), default=0) + 1
        finish(version)
        target = model_folder / str(version)
        try:
            staging.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        else:
            return target
    raise TrainingError(f"no free version found in {model_folder} after {_ATTEMPTS} attempts")


@contextmanager
def disk_errors_named(name: str, repository: Path) -> Iterator[None]:
    """Turn an OSError of the block into a TrainingError that names the model, the repository and the file."""
    try:
        yield
    except OSError as error:
        raise TrainingError(f"task {name}: the package could not be written to {repository}: {error}") from error


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Let an OSError of the block, such as that of a full disk, name `path` if it names no file itself."""
    try:
        yield path
    except OSError as error:
        if error.filename is not None:
            raise
        number = error.errno or errno.EIO
        raise OSError(number, error.strerror or str(error), str(path)) from error


def _remove_left(model_folder: Path) -> None:
    for left in model_folder.glob(f"{_PREFIX}*"):
        try:
            with _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(left)
        except BlockingIOError:
            continue


@contextmanager
def _locked(folder: Path, mode: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)
