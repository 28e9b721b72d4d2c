"""Image augmentation that the tasks share, vectorised: a whole epoch's images at once.

Owns functions of (images [rows, height, width, channels] uint8, generator) → as many images. Does not know the data.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[Any]


def flip(images: Images, generator: np.random.Generator) -> Images:
    """Each image mirrored left to right, or not, by the toss of a coin."""
    mirrored = generator.random(len(images)) < 0.5
    changed = images.copy()
    changed[mirrored] = images[mirrored, :, ::-1]
    return changed


def shift(images: Images, generator: np.random.Generator, most_pixels: int) -> Images:
    """Each image moved by up to `most_pixels` each way, zeros drawn in; images of equal shift are moved together."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (most_pixels, most_pixels), (most_pixels, most_pixels), (0, 0)))
    moved = np.empty_like(images)
    steps = 2 * most_pixels + 1
    downs, rights = generator.integers(0, steps, len(images)), generator.integers(0, steps, len(images))
    for down in range(steps):
        for right in range(steps):
            group = (downs == down) & (rights == right)
            moved[group] = padded[group, down : down + height, right : right + width]
    return moved


def cut_out(images: Images, generator: np.random.Generator, size_pixels: int) -> Images:
    """Each image with a square of zeros, its centre anywhere (DeVries, Taylor, arXiv:1708.04552)."""
    rows, height, width = images.shape[:3]
    changed = images.copy()
    tops = generator.integers(0, height, (rows, 1)) - size_pixels // 2
    lefts = generator.integers(0, width, (rows, 1)) - size_pixels // 2
    down, right = np.arange(height), np.arange(width)
    in_rows = (down >= tops) & (down < tops + size_pixels)
    in_columns = (right >= lefts) & (right < lefts + size_pixels)
    changed[in_rows[:, :, None] & in_columns[:, None, :]] = 0
    return changed


def flip_shift_and_cut_out(images: Images, generator: np.random.Generator) -> Images:
    """Mirrored by a coin, then moved by up to 2 pixels, then a square of 9 pixels cut out."""
    return cut_out(shift(flip(images, generator), generator, 2), generator, 9)


def flip_and_shift(images: Images, generator: np.random.Generator) -> Images:
    """Mirrored by a coin, then moved by up to 1 pixel."""
    return shift(flip(images, generator), generator, 1)
