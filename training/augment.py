"""Image augmentation that the tasks share, vectorised: a whole epoch's images at once.

Owns functions of (images [rows, height, width, channels] uint8, generator) → as many images. Does not know the data.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def flip(images: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
    """Each image mirrored left to right, or not, by the toss of a coin."""
    mirrored = generator.random(len(images)) < 0.5
    changed = images.copy()
    changed[mirrored] = images[mirrored, :, ::-1]
    return changed
