"""Pictures of PIL. Tables of pandas and polars: tests/clients/pandas_client.py, in an environment that has them."""

import io

import numpy as np
import pytest
from PIL import Image

from serving.client.encoding import Request, encode
from serving.errors import InvalidInput

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def sent(*pictures):
    return [Image.open(io.BytesIO(one)) for one in encode(Request("m", list(pictures))).images]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1"])
def test_a_pictures_pixels_go_as_they_are(mode):
    picture = Image.fromarray(PIXELS).convert(mode)
    (came,) = sent(picture)
    assert came.mode == mode
    np.testing.assert_array_equal(np.asarray(came.convert("RGBA")), np.asarray(picture.convert("RGBA")))


def test_a_mode_that_png_lacks_becomes_one_that_it_has():
    (came,) = sent(Image.fromarray(PIXELS).convert("CMYK"))
    np.testing.assert_array_equal(np.asarray(came), PIXELS)


def test_a_photos_orientation_goes_with_it():
    photo = Image.fromarray(PIXELS)
    exif = photo.getexif()
    exif[0x0112] = 6
    file = io.BytesIO()
    photo.save(file, "JPEG", exif=exif)
    (came,) = sent(Image.open(file))
    assert came.getexif()[0x0112] == 6


def test_a_picture_of_more_than_8_bits_that_png_lacks_is_refused():
    with pytest.raises(InvalidInput, match="image: mode F came; 8 bits a channel were expected"):
        encode(Request("m", Image.new("F", (2, 2))))


def test_pictures_files_and_bytes_may_stand_in_one_list(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    assert len(sent(Image.fromarray(PIXELS), path, path.read_bytes())) == 3
