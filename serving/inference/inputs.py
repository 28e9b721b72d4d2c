"""Encoded images and named features → the arrays that a model takes.

Owns decoding, its limits, and the preprocessing that a manifest states. Does not know requests; its errors name rows by
the fields `images` and `features`.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from serving.errors import InvalidInput

IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """What the model's image input takes, and what is done with other images. Sizes in pixels."""

    input: str
    height: int
    width: int
    color_mode: Literal["grayscale", "rgb"]
    other_size: Literal["resize", "reject"]
    alpha_background: int
    exif_orientation: bool
    kind: Literal["image"] = "image"


@dataclass(frozen=True, slots=True)
class Feature:
    """A named number and the range that training saw."""

    name: str
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class FeaturePreprocessing:
    """Named features in the order of the columns of the model's input."""

    input: str
    features: tuple[Feature, ...]
    kind: Literal["features"] = "features"


Preprocessing = ImagePreprocessing | FeaturePreprocessing


def decode_images(files: Sequence[bytes], to: ImagePreprocessing, max_pixels: int) -> NDArray[np.uint8]:
    """Decode one image file a row: [rows, height, width, 1 or 3] uint8.

    Raises InvalidInput, naming the row, for what is no PNG, JPEG, BMP or WebP, is cut off, has more than `max_pixels`
    pixels (checked before its pixels are decoded), or has another size where the model rejects that.
    """
    channels = 1 if to.color_mode == "grayscale" else 3
    rows = np.empty((len(files), to.height, to.width, channels), dtype=np.uint8)
    for index, data in enumerate(files):
        rows[index] = _decode(data, f"images[{index}]", to, max_pixels).reshape(to.height, to.width, channels)
    return rows


def _decode(data: bytes, field: str, to: ImagePreprocessing, max_pixels: int) -> NDArray[np.uint8]:
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidInput(f"{field}: more than the {max_pixels} pixels allowed") from error
    except Exception as error:
        raise InvalidInput(f"{field}: {len(data)} bytes that are no PNG, JPEG, BMP or WebP image") from error
    if image.width * image.height > max_pixels:
        raise InvalidInput(f"{field}: {image.width} x {image.height} pixels; at most {max_pixels} pixels are allowed")
    name = image.format
    try:
        image.load()
        if to.exif_orientation:
            image = ImageOps.exif_transpose(image)
    except Exception as error:
        raise InvalidInput(f"{field}: a {name} image that is cut off or broken") from error
    image = _flatten(image, to)
    if image.size != (to.width, to.height):
        if to.other_size == "reject":
            raise InvalidInput(
                f"{field}: {image.width} x {image.height} pixels; the model takes {to.width} x {to.height} alone"
            )
        image = image.resize((to.width, to.height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def _flatten(image: Image.Image, to: ImagePreprocessing) -> Image.Image:
    """The image over the background where it is transparent, in 8 bits and the model's colour mode."""
    mode = "L" if to.color_mode == "grayscale" else "RGB"
    if image.mode.startswith("I"):
        # 16 bits a pixel: Pillow's own conversion would cut at 255 instead of scaling.
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        background = Image.new("RGBA", layer.size, (*[to.alpha_background] * 3, 255))
        image = Image.alpha_composite(background, layer)
    return image if image.mode == mode else image.convert(mode)


def arrange_features(rows: Sequence[Mapping[str, float]], to: FeaturePreprocessing, dtype: Any) -> NDArray[Any]:  # noqa: ANN401
    """Named numbers, one mapping a row, in the model's order: [rows, features] of `dtype`.

    Raises InvalidInput naming the row and every missing or unknown feature, or the one that is not finite in `dtype`.
    """
    names = [feature.name for feature in to.features]
    known = set(names)
    array = np.empty((len(rows), len(names)), dtype=np.float64)
    for index, row in enumerate(rows):
        if row.keys() != known:
            raise InvalidInput(f"features[{index}]: {_difference(row.keys(), names)}")
        array[index] = [row[name] for name in names]
    check_finite(array, names)
    with np.errstate(over="ignore"):
        cast = array.astype(dtype, copy=False)
    if not np.isfinite(cast).all():
        row, column = np.argwhere(~np.isfinite(cast))[0]
        raise InvalidInput(f"features[{row}]: {names[column]} is {array[row, column]}; it does not fit {cast.dtype}")
    return cast


def check_finite(array: NDArray[Any], names: Sequence[str]) -> None:
    """Raise InvalidInput naming the first feature of `array` [rows, features] that is NaN or infinite."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    row, column = np.argwhere(~np.isfinite(array))[0]
    raise InvalidInput(f"features[{row}]: {names[column]} is {array[row, column]}; a finite number was expected")


def _difference(came: Any, expected: Sequence[str]) -> str:  # noqa: ANN401 - a view of keys
    missing = [name for name in expected if name not in came]
    unknown = sorted(set(came) - set(expected))
    parts = [f"{word} {', '.join(names)}" for word, names in (("missing", missing), ("unknown", unknown)) if names]
    return f"{'; '.join(parts)}; the model takes {', '.join(expected)}"
