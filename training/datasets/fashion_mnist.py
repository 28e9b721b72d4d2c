"""Fashion-MNIST: 60,000 training and 10,000 test images of clothing, 28 x 28 grey pixels, 10 classes.

Owns where it is looked for, its checksums, and its format. Does not know models.

Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017
(arXiv:1708.07747).
"""

import contextlib
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.datasets.sources import Place, debian_package, find_files
from training.task import Dataset, Rows, TrainingError

LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
CLASS_INDICES = {label: index for index, label in enumerate(LABELS)}
SIZE_PIXELS = 28
VALIDATION_ROWS = 2_000

CHECKSUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""File to SHA-256 of its unpacked content."""

PARTS = ("train", "t10k")

SETTING = "SIGNET_FASHION_MNIST"
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = "usr/share/datasets/fashion-mnist"
DOWNLOAD_TIMEOUT_SECONDS = 10.0


def load_fashion_mnist(data: Path | None, seed: int) -> Dataset:
    """Train, validation (2,000 of the 60,000, drawn by the seed) and test; inputs [rows, 28, 28, 1] uint8.

    `data`: a folder with the four files. Raises TrainingError naming every place that was looked at.
    """
    source, train, test = _read(data)
    order = np.random.default_rng(seed).permutation(len(train))
    return _dataset(source, train, test, order[VALIDATION_ROWS:], order[:VALIDATION_ROWS])


def load_as_the_course_splits(data: Path | None, seed: int) -> Dataset:  # noqa: ARG001 - the split is the file's order
    """The first three quarters of the 60,000 to train, the rest to validate: Keras' validation_split of 0.25."""
    source, train, test = _read(data)
    quarter = len(train) // 4
    return _dataset(source, train, test, slice(0, -quarter), slice(-quarter, None))


def _read(data: Path | None) -> tuple[str, Rows, Rows]:
    source, files = find_files(_places(data), CHECKSUMS)
    train, test = (_rows(files[f"{part}-images-idx3-ubyte"], files[f"{part}-labels-idx1-ubyte"]) for part in PARTS)
    return f"Fashion-MNIST from {source}", train, test


def _dataset(source: str, train: Rows, test: Rows, kept: Any, held: Any) -> Dataset:  # noqa: ANN401 - indices
    return Dataset(train.take(kept), train.take(held), test, CLASS_INDICES, source)


def _places(data: Path | None) -> Iterator[Place]:
    """Where to look, in order; only `data` if it is given."""
    if data is not None:
        yield f"--data {data}", lambda: data
        return
    setting = os.environ.get(SETTING)
    if setting:
        yield f"{SETTING}={setting}", lambda: Path(setting)
    yield f"Debian's folder /{DEBIAN_FOLDER}", lambda: Path("/", DEBIAN_FOLDER)
    yield "Keras' download", _keras_download
    yield f"Debian's package {DEBIAN_PACKAGE}", lambda: debian_package(DEBIAN_PACKAGE, DEBIAN_FOLDER)


def _keras_download() -> Path:
    """The folder where Keras keeps what it downloads. Raises OSError."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            keras.datasets.fashion_mnist.load_data()
    except Exception as error:
        # Keras raises a bare Exception for whatever keeps it from downloading.
        raise OSError(str(error)) from error
    finally:
        socket.setdefaulttimeout(before)
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "fashion-mnist"


def _rows(images: bytes, labels: bytes) -> Rows:
    pixels = _idx(images, 3)
    truth = _idx(labels, 1)
    if len(pixels) != len(truth):
        raise TrainingError(f"Fashion-MNIST: {len(pixels)} images, but {len(truth)} labels")
    return Rows(pixels[..., None], truth.astype(np.int64))


def _idx(content: bytes, rank: int) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes: 4 magic bytes, the last of them the rank, then each dimension in 4 bytes."""
    shape = np.frombuffer(content, ">i4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
