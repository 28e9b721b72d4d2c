"""Images become the array that the manifest states, or one clear error that names the row."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving.errors import InvalidInput
from serving.inference.images import decode_images
from serving.inference.inputs import ImagePreprocessing

MAX_PIXELS = 10_000
EXIF_ORIENTATION = 0x0112
TURN_RIGHT = 6


def taking(size: int = 4, **stated: Any) -> ImagePreprocessing:
    """What a model of `size` pixels square takes; rgb, resized, over white, turned by EXIF, unless stated."""
    defaults: dict[str, Any] = {
        "color_mode": "rgb",
        "other_size": "resize",
        "alpha_background": 255,
        "exif_orientation": True,
    }
    return ImagePreprocessing("image", size, size, **{**defaults, **stated})


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def plain(value: Any, mode: str = "RGB", size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new(mode, size, value)


def decoded(data: bytes, to: ImagePreprocessing | None = None) -> np.ndarray:
    return decode_images([data], to or taking(), MAX_PIXELS)[0]


def refusal(data: bytes, to: ImagePreprocessing | None = None) -> str:
    with pytest.raises(InvalidInput) as error:
        decode_images([encoded(plain("red")), data], to or taking(), MAX_PIXELS)
    return str(error.value)


def bomb(width: int, height: int) -> bytes:
    """A PNG header of so many pixels in a file of 60 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("JPEG", {"quality": 100, "subsampling": 0}), ("BMP", {}), ("WEBP", {"lossless": True})],
    ids=["PNG", "JPEG", "BMP", "WebP"],
)
def test_each_format_is_decoded(kind, options):
    pixels = decoded(encoded(plain((200, 100, 50)), kind, **options))
    assert pixels.shape == (4, 4, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - [200, 100, 50]).max() <= 2


def test_images_become_rows_in_order():
    files = [encoded(plain((value, value, value))) for value in (0, 10, 20)]
    assert decode_images(files, taking(), MAX_PIXELS)[:, 0, 0, 0].tolist() == [0, 10, 20]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"just some text", "images[1]: 14 bytes that are no PNG, JPEG, BMP or WebP image", id="text"),
        pytest.param(b"", "images[1]: 0 bytes that are no PNG, JPEG, BMP or WebP image", id="empty"),
        pytest.param(
            encoded(plain("red"), "GIF"),
            "bytes that are no PNG, JPEG, BMP or WebP image",
            id="a GIF, which is not read",
        ),
        pytest.param(
            encoded(Image.effect_noise((64, 64), 90))[:-2000],
            "images[1]: a PNG image that is cut off or broken",
            id="a truncated PNG",
        ),
        pytest.param(
            encoded(Image.effect_noise((64, 64), 90), "JPEG")[:-500],
            "images[1]: a JPEG image that is cut off or broken",
            id="a truncated JPEG",
        ),
        pytest.param(
            encoded(Image.effect_noise((64, 64), 90).convert("RGB"), "BMP")[:-500],
            "images[1]: a BMP image that is cut off or broken",
            id="a truncated BMP",
        ),
        pytest.param(
            bomb(60_000, 60_000), "images[1]: more than the 10000 pixels allowed", id="a bomb of 3.6 gigapixels"
        ),
        pytest.param(
            bomb(5_000, 5_000),
            "images[1]: 5000 x 5000 pixels; at most 10000 pixels are allowed",
            id="a bomb that Pillow would decode",
        ),
    ],
)
def test_what_is_no_good_image_is_refused_by_row_and_reason(data, text):
    assert text in refusal(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_that_pillow_only_warns_of_is_refused():
    assert refusal(bomb(10_000, 9_500)) == "images[1]: 10000 x 9500 pixels; at most 10000 pixels are allowed"


def test_an_image_of_exactly_the_allowed_pixels_is_decoded():
    assert decoded(encoded(plain("red", size=(100, 100)))).shape == (4, 4, 3)


def test_another_size_is_resized_where_the_model_says_so():
    half = np.zeros((8, 8, 3), np.uint8)
    half[:, 4:] = 255
    pixels = decoded(encoded(Image.fromarray(half)), taking(2))
    assert pixels[:, :, 0].tolist() == [[pixels[0, 0, 0], pixels[0, 1, 0]]] * 2
    assert pixels[0, 0, 0] < 64
    assert pixels[0, 1, 0] > 191


def test_another_size_is_rejected_where_the_model_says_so():
    text = refusal(encoded(plain("red", size=(8, 5))), taking(other_size="reject"))
    assert text == "images[1]: 8 x 5 pixels; the model takes 4 x 4 alone"


@pytest.mark.parametrize(
    ("color_mode", "pixel"),
    [pytest.param("grayscale", [76], id="grayscale by luminance"), pytest.param("rgb", [255, 0, 0], id="rgb")],
)
def test_colours_follow_the_models_colour_mode(color_mode, pixel):
    assert decoded(encoded(plain("red")), taking(color_mode=color_mode))[0, 0].tolist() == pixel


def test_a_gray_image_fills_all_channels_of_an_rgb_model():
    assert decoded(encoded(plain(77, "L")))[0, 0].tolist() == [77, 77, 77]


@pytest.mark.parametrize(
    ("exif_orientation", "corner"),
    [pytest.param(True, [0, 3], id="turned as EXIF says"), pytest.param(False, [0, 0], id="left as stored")],
)
def test_an_exif_turn_is_followed_where_the_model_says_so(exif_orientation, corner):
    stored = Image.new("L", (4, 4), 0)
    stored.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = TURN_RIGHT
    to = taking(color_mode="grayscale", exif_orientation=exif_orientation)
    pixels = decoded(encoded(stored, exif=exif), to)[:, :, 0]
    assert np.argwhere(pixels == 255).tolist() == [corner]


def test_a_broken_exif_block_is_a_broken_image():
    data = encoded(plain("red"), "WEBP", exif=b"Exif\0\0no TIFF header at all")
    assert refusal(data) == "images[1]: a WEBP image that is cut off or broken"
    assert decoded(data, taking(exif_orientation=False)).shape == (4, 4, 3)


@pytest.mark.parametrize("background", [0, 128, 255])
def test_what_is_transparent_shows_the_models_background(background):
    to = taking(alpha_background=background)
    assert decoded(encoded(plain((255, 0, 0, 0), "RGBA")), to)[0, 0].tolist() == [background] * 3


def test_what_is_half_transparent_is_mixed_with_the_background():
    pixel = decoded(encoded(plain((0, 0, 0, 128), "RGBA")))[0, 0]
    assert np.abs(pixel.astype(int) - 127).max() <= 1


def test_gray_with_alpha_shows_the_background_in_a_grayscale_model():
    data = encoded(plain((9, 0), "LA"))
    assert decoded(data, taking(color_mode="grayscale", alpha_background=200))[0, 0].tolist() == [200]


def test_a_transparent_palette_colour_shows_the_background():
    image = plain(0, "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    pixels = decoded(encoded(image, transparency=0))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 1].tolist() == [40, 50, 60]


@pytest.mark.parametrize("color_mode", ["grayscale", "rgb"])
@pytest.mark.parametrize(
    ("value", "pixel"),
    [pytest.param(0, 0, id="black"), pytest.param(32768, 128, id="middle"), pytest.param(65535, 255, id="white")],
)
def test_sixteen_bits_are_scaled_to_eight(color_mode, value, pixel):
    data = encoded(Image.fromarray(np.full((4, 4), value, np.uint16)))
    assert set(decoded(data, taking(color_mode=color_mode)).ravel().tolist()) == {pixel}


def test_black_and_white_becomes_0_and_255():
    image = plain(1, "1")
    image.putpixel((0, 0), 0)
    assert sorted(set(decoded(encoded(image), taking(color_mode="grayscale")).ravel().tolist())) == [0, 255]
