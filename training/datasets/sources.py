"""Where a published data set is looked for, one place after the other.

Owns the order of the places, the proof that what was found is the data set (SHA-256 of each file, unpacked), and the
error that names every place. Does not know what is in the files.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from training.task import TrainingError

PACKAGE_TIMEOUT_SECONDS = 300

Place = tuple[str, Callable[[], Path]]
"""A name for people, and a function that gives a folder or raises OSError or TrainingError."""


def cache_folder() -> Path:
    """Where downloads are kept: SIGNET_CACHE, or `signet` in the user's cache folder."""
    chosen = os.environ.get("SIGNET_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "signet"


def find_files(places: Iterable[Place], checksums: Mapping[str, str]) -> tuple[str, dict[str, bytes]]:
    """The name of the first place that has every file, and the files' contents, unpacked.

    `checksums`: file name to SHA-256 of its unpacked content; a file may lie there plain or with `.gz`. Raises
    TrainingError naming each place and what was wrong there.
    """
    failures = []
    for name, place in places:
        try:
            folder = place()
            return name, {file: _read(folder, file, checksum) for file, checksum in checksums.items()}
        except (OSError, TrainingError, subprocess.SubprocessError) as error:
            failures.append(f"  {name}: {error}")
    raise TrainingError("the data set was found nowhere:\n" + "\n".join(failures))


def debian_package(package: str, folder_inside: str) -> Path:
    """The folder inside Debian's `package`, fetched and unpacked once, without root. Raises OSError."""
    folder = cache_folder() / package
    if not (folder / folder_inside).is_dir():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise OSError("apt-get and dpkg-deb are not here")
        with _filling(folder) as partial, tempfile.TemporaryDirectory() as work:
            _run(["apt-get", "download", "-q", package], work)
            (archive,) = Path(work).glob("*.deb")
            _run(["dpkg-deb", "-x", str(archive), str(partial)], work)
    return folder / folder_inside


@contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """A hidden folder to fill, which takes the name of `folder` if nothing failed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _run(command: list[str], folder: str) -> None:
    done = subprocess.run(  # noqa: S603 - fixed commands
        command, cwd=folder, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT_SECONDS, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise OSError(f"{command[0]} failed: {last}")


def _unpacked(packed: Path) -> bytes:
    try:
        return gzip.decompress(packed.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TrainingError(f"{packed.name} in {packed.parent} is broken or cut short: {error}") from error


def _read(folder: Path, file: str, checksum: str) -> bytes:
    plain, packed = folder / file, folder / f"{file}.gz"
    if plain.is_file():
        content = plain.read_bytes()
    elif packed.is_file():
        content = _unpacked(packed)
    else:
        raise TrainingError(f"{file} or {file}.gz is not in {folder}")
    if hashlib.sha256(content).hexdigest() != checksum:
        raise TrainingError(f"{file} in {folder} is not the published one: its checksum differs")
    return content
