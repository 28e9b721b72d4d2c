"""Hand-drawn shapes: folders of images, or drawings by our own generator.

Owns the reading of `train/<label>/*.png` and `test/<label>/*.png` from a folder or a zip of it, with class_indices from
the sorted folder names, as Keras gives them. Does not know models.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from training.datasets import drawings
from training.datasets.drawings import MANY_HANDS, OTHER_HANDS, SIZE_PIXELS
from training.task import Dataset, Rows, TrainingError

TRAIN_DRAWINGS = 24_000
VALIDATION_DRAWINGS = 1_500
TEST_DRAWINGS = 1_500

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def load_drawings(data: Path | None, seed: int) -> Dataset:
    """Drawings of our generator to train on; the test split of `data`, or without it drawings by other hands.

    Not one drawing of `data` enters training: its test split shows what the net makes of a hand that it never saw.
    """
    train = drawings.draw(TRAIN_DRAWINGS, MANY_HANDS, seed)
    validation = drawings.draw(VALIDATION_DRAWINGS, MANY_HANDS, seed + 1_000_003)
    if data is None:
        test = drawings.draw(TEST_DRAWINGS, OTHER_HANDS, seed + 2_000_003)
        return Dataset(train, validation, test, drawings.CLASS_INDICES, "drawings by our generator; test: other hands")
    folders = load_folders(data, seed)
    if folders.class_indices != drawings.CLASS_INDICES:
        raise TrainingError(
            f"{data}: the labels are {', '.join(folders.labels)}; "
            f"this recipe draws {', '.join(drawings.CLASS_INDICES)} to train on: use the recipe seed"
        )
    return Dataset(
        train, validation, folders.test, folders.class_indices, f"drawings by our generator; test: {data.name}"
    )


def load_folders(data: Path | None, seed: int) -> Dataset:  # noqa: ARG001 - nothing is drawn
    """The train and test folders of `data`, a folder or a zip; inputs [rows, 24, 24, 3] uint8, no validation.

    Raises TrainingError naming the folder or file that is missing, empty, broken, or of another size.
    """
    if data is None:
        raise TrainingError("this recipe trains on your drawings: name a folder or zip with --data")
    files = list(_files(data))
    train, test = (_read_split(data, files, split) for split in ("train", "test"))
    if train[1] != test[1]:
        raise TrainingError(f"{data}: train has the labels {', '.join(train[1])}, test has {', '.join(test[1])}")
    class_indices = {label: index for index, label in enumerate(train[1])}
    return Dataset(train[0], train[0].take(slice(0, 0)), test[0], class_indices, data.name)


def _files(data: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path from `data` on and content of every visible file. Raises TrainingError."""
    try:
        yield from _folder_files(data) if data.is_dir() else _zip_files(data)
    except FileNotFoundError as error:
        raise TrainingError(f"{data}: no such folder or file") from error
    except OSError as error:
        raise TrainingError(f"{error.filename or data}: {error.strerror}") from error


def _folder_files(folder: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    for path in sorted(folder.rglob("*")):
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        if path.is_file() and _visible(relative):
            yield relative, path.read_bytes()


def _zip_files(data: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    try:
        archive = zipfile.ZipFile(data)
    except zipfile.BadZipFile as error:
        raise TrainingError(f"{data}: neither a folder nor a zip file") from error
    with archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/") and _visible(PurePosixPath(name)):
                yield PurePosixPath(name), _unzipped(archive, name, data)


def _unzipped(archive: zipfile.ZipFile, name: str, data: Path) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise TrainingError(f"{data}: {name} in it is broken: {error}") from error
    except RuntimeError as error:
        # zipfile raises it for a password, and its subclass NotImplementedError for a compression that it lacks.
        raise TrainingError(f"{data}: {name} in it cannot be unpacked: {error}") from error


def _visible(path: PurePosixPath) -> bool:
    return not any(part.startswith((".", "__")) for part in path.parts)


def _read_split(data: Path, files: list[tuple[PurePosixPath, bytes]], split: str) -> tuple[Rows, list[str]]:
    """The images of `<anything>/<split>/<label>/<file>`, and the labels, sorted."""
    found: dict[str, list[tuple[PurePosixPath, bytes]]] = {}
    for path, content in files:
        if len(path.parts) >= 3 and path.parts[-3] == split and path.suffix.lower() in IMAGE_SUFFIXES:
            found.setdefault(path.parts[-2], []).append((path, content))
    labels = sorted(found)
    if len(labels) < 2:
        raise TrainingError(
            f"{data}: {split} holds {len(labels)} folder(s) with images ({', '.join(labels) or 'none'}); "
            f"two or more of {split}/<label>/*.png were expected"
        )
    images = [_read_image(path, content) for label in labels for path, content in found[label]]
    truth = np.repeat(np.arange(len(labels)), [len(found[label]) for label in labels])
    return Rows(np.stack(images), truth.astype(np.int64)), labels


def _read_image(path: PurePosixPath, content: bytes) -> np.ndarray:
    """One image, [24, 24, 3] uint8, over white where it is transparent."""
    try:
        image = Image.open(io.BytesIO(content)).convert("RGBA")
    except Exception as error:
        raise TrainingError(f"{path}: no image, or a broken one") from error
    if image.size != (SIZE_PIXELS, SIZE_PIXELS):
        raise TrainingError(
            f"{path}: {image.width} x {image.height} pixels; {SIZE_PIXELS} x {SIZE_PIXELS} were expected"
        )
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))
