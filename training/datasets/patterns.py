"""Synthetic rows that the smallest nets can learn, for the tasks that only show how layers stack.

Owns two generators. Does not know nets.
"""

from pathlib import Path

import numpy as np

from training.task import Dataset, Rows

TRAIN_ROWS = 3_000
VALIDATION_ROWS = 500
TEST_ROWS = 500
SIZE_PIXELS = 8
BARS = {"across": 0, "down": 1, "slanted": 2}
SIDES = {"below": 0, "above": 1}


def load_numbers(data: Path | None, seed: int) -> Dataset:  # noqa: ARG001 - drawn, not read
    """Four numbers of -1 to 1, inputs [rows, 4] float32, by whether x0 x1 + x2 is above x3."""
    generator = np.random.default_rng(seed)
    inputs = generator.uniform(-1, 1, (TRAIN_ROWS + VALIDATION_ROWS + TEST_ROWS, 4)).astype(np.float32)
    truth = (inputs[:, 0] * inputs[:, 1] + inputs[:, 2] > inputs[:, 3]).astype(np.int64)
    return _split(Rows(inputs, truth), SIDES)


def load_bars(data: Path | None, seed: int) -> Dataset:  # noqa: ARG001 - drawn, not read
    """A bright bar on noise, inputs [rows, 8, 8, 1] uint8, by its direction."""
    generator = np.random.default_rng(seed)
    count = TRAIN_ROWS + VALIDATION_ROWS + TEST_ROWS
    truth = generator.integers(0, len(BARS), count)
    images = generator.integers(0, 90, (count, SIZE_PIXELS, SIZE_PIXELS, 1), dtype=np.uint8)
    places = generator.integers(1, SIZE_PIXELS - 1, count)
    diagonal = np.arange(SIZE_PIXELS)
    for image, kind, place in zip(images, truth, places, strict=True):
        bar = image[place] if kind == BARS["across"] else image[:, place]
        if kind == BARS["slanted"]:
            image[diagonal, (diagonal + place) % SIZE_PIXELS] += 150
        else:
            bar += 150
    return _split(Rows(images, truth), BARS)


def _split(rows: Rows, class_indices: dict[str, int]) -> Dataset:
    first, second = TRAIN_ROWS, TRAIN_ROWS + VALIDATION_ROWS
    return Dataset(
        train=rows.take(slice(0, first)),
        validation=rows.take(slice(first, second)),
        test=rows.take(slice(second, None)),
        class_indices=class_indices,
        source="rows drawn by our generator",
    )
