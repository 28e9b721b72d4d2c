"""Encoded images → the array that a model takes.

Owns decoding and its limits. Does not know requests; its errors name rows by the field `images`.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from serving.errors import InvalidInput
from serving.inference.inputs import ImagePreprocessing

IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


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
