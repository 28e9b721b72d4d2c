"""Encoded images are decoded, turned, laid over the background and resized as the manifest says."""

import io
from typing import Any

import grpc
import pytest
from PIL import Image

from protos.signet.v1.models_pb2 import GetModelRequest
from protos.signet.v1.prediction_pb2 import PredictRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import image_file, shades, status_of
from tests.running_server import running_server

WHITE, BLACK = 255, 0
ORIENTATION = 0x0112
TURNED_LEFT = 6


def file_of(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def labels(connection, *files: bytes, model: str = "shades") -> list[str]:
    answer = connection.prediction.Predict(PredictRequest(model=model, images=files))
    return [row.label for row in answer.predictions]


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A server of `shades`, which resizes, and `strict`: grey, over black, no other size, orientation ignored."""
    root = tmp_path_factory.mktemp("images")
    tiny.put_shades(root)
    preprocessing = {
        **tiny.IMAGE_MANIFEST["preprocessing"],
        "color_mode": "grayscale",
        "other_size": "reject",
        "alpha_background": BLACK,
    }
    inputs = [{"name": "image", "datatype": "UINT8", "shape": [-1, 4, 4, 1]}]
    manifest = {**tiny.IMAGE_MANIFEST, "inputs": inputs, "preprocessing": preprocessing}
    tiny.put_package(root, "strict", tiny.image_model(channels=1), manifest)
    with running_server(root, max_image_pixels=1000) as server:
        connection = connect(server)
        yield connection
        connection.channel.close()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP", "WEBP"])
def test_each_encoded_image_gets_a_label(signet, file_format):
    answer = signet.prediction.Predict(shades(0, 255, 130, file_format=file_format))
    assert [row.label for row in answer.predictions] == ["dark", "bright", "middle"]


def test_formats_may_differ_within_a_request(signet):
    assert labels(signet, image_file(0, "BMP"), image_file(255, "JPEG")) == ["dark", "bright"]


def test_an_image_of_another_size_is_resized_as_the_manifest_says(signet):
    assert labels(signet, image_file(255, size=(9, 7))) == ["bright"]


def test_an_image_of_another_size_is_refused_where_the_manifest_says_so(strict):
    request = PredictRequest(model="strict", images=[image_file(0), image_file(0, size=(9, 7))])
    assert status_of(strict.prediction.Predict, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "images[1]: 9 x 7 pixels; the model takes 4 x 4 alone",
    )


def test_transparent_pixels_take_the_background_of_the_manifest(strict):
    clear = file_of(Image.new("RGBA", (4, 4), (130, 130, 130, 0)))
    assert labels(strict, clear) == ["bright"]
    assert labels(strict, clear, model="strict") == ["dark"]


def test_an_exif_turn_is_done_before_the_size_is_compared(strict):
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED_LEFT
    lying = file_of(Image.new("L", (4, 8), WHITE), "JPEG", exif=exif)
    _, text = status_of(strict.prediction.Predict, PredictRequest(model="strict", images=[lying]))
    assert text == "images[0]: 8 x 4 pixels; the model takes 4 x 4 alone"


@pytest.mark.parametrize(
    ("mode", "grey", "label"),
    [
        ("1", 1, "bright"),
        ("L", 130, "middle"),
        ("P", (130, 130, 130), "middle"),
        ("I;16", 130 * 256, "middle"),
        ("LA", (130, 255), "middle"),
        ("RGBA", (130, 130, 130, 255), "middle"),
    ],
    ids=["one bit", "grey", "palette", "sixteen bits", "grey with alpha", "colour with alpha"],
)
def test_each_kind_of_pixel_reaches_the_model_in_its_colour_mode(strict, mode, grey, label):
    file = file_of(Image.new(mode, (4, 4), grey))
    assert labels(strict, file) == [label]
    assert labels(strict, file, model="strict") == [label]


def test_the_pixel_limit_of_the_settings_holds(strict):
    code, text = status_of(strict.prediction.Predict, shades(0, size=(32, 32)))
    assert (code, text) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "images[0]: 32 x 32 pixels; at most 1000 pixels are allowed",
    )


def test_many_large_images_in_one_request_are_all_answered(signet):
    assert set(labels(signet, *[image_file(255, "BMP", (200, 200))] * 8)) == {"bright"}


def test_get_model_tells_what_is_done_with_images(strict):
    told = strict.models.GetModel(GetModelRequest(model="strict")).image
    assert (told.input, told.height, told.width, told.color_mode) == ("image", 4, 4, "grayscale")
    assert (told.other_size, told.alpha_background, told.exif_orientation) == ("reject", 0, True)
