import zipfile

import numpy as np
import pytest
from PIL import Image

from training.datasets import drawings, shapes
from training.task import TrainingError


def put(root, path: str, size: int = 24, mode: str = "RGB") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size, size), 0).save(file)


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "test"):
        for label in ("square", "arc"):
            put(tmp_path, f"{split}/{label}/1.png")
    return tmp_path


def test_labels_are_the_sorted_folder_names_numbered_from_0(folder):
    data = shapes.load_folders(folder, seed=1)
    assert data.class_indices == {"arc": 0, "square": 1}
    assert data.train.inputs.shape == (2, 24, 24, 3)
    assert data.train.truth.tolist() == [0, 1]


def test_a_zip_is_read_as_its_folder_is_whatever_lies_around_it(folder, tmp_path_factory):
    archive = tmp_path_factory.mktemp("zip") / "drawings.zip"
    (folder / "train" / ".DS_Store").write_bytes(b"x")
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, "drawings" / path.relative_to(folder))
        file.writestr("__MACOSX/train/arc/._1.png", b"x")
    read = shapes.load_folders(archive, seed=1)
    assert read.class_indices == {"arc": 0, "square": 1}
    assert np.array_equal(read.test.inputs, shapes.load_folders(folder, seed=1).test.inputs)


def test_transparent_pixels_are_white(folder):
    put(folder, "train/arc/2.png", mode="RGBA")
    data = shapes.load_folders(folder, seed=1)
    assert data.train.inputs[1].min() == 255


def test_one_class_alone_is_refused(tmp_path):
    put(tmp_path, "train/arc/1.png")
    with pytest.raises(TrainingError, match=r"train holds 1 folder\(s\) with images \(arc\)"):
        shapes.load_folders(tmp_path, seed=1)


def test_splits_of_other_labels_are_refused(folder):
    put(folder, "test/line/1.png")
    with pytest.raises(TrainingError, match="train has the labels arc, square, test has arc, line, square"):
        shapes.load_folders(folder, seed=1)


def test_an_image_of_another_size_is_refused_by_name(folder):
    put(folder, "test/arc/big.png", size=30)
    with pytest.raises(TrainingError, match=r"test/arc/big\.png: 30 x 30 pixels; 24 x 24 were expected"):
        shapes.load_folders(folder, seed=1)


def test_a_broken_image_is_refused_by_name(folder):
    (folder / "test/arc/bad.png").write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"test/arc/bad\.png: no image, or a broken one"):
        shapes.load_folders(folder, seed=1)


@pytest.mark.parametrize("content", [None, b"text"], ids=["nothing there", "no zip"])
def test_what_is_neither_folder_nor_zip_is_refused(tmp_path, content):
    path = tmp_path / "drawings.zip"
    if content:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"drawings\.zip: (no such folder or file|neither a folder nor a zip file)"):
        shapes.load_folders(path, seed=1)


def archive_with(path, *, flag: int = 0, method: int = 0, damage: bool = False):
    """A zip of one stored member, told to be encrypted by `flag` 1 or compressed by an unknown `method`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/arc/1.png", b"pixels" * 9)
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\x01\x02")
    for flags, methods in ((6, 8), (entry + 8, entry + 10)):
        content[flags] |= flag
        content[methods] = method
    if damage:
        content[60] ^= 0xFF
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"damage": True}, r"train/arc/1\.png in it is broken: Bad CRC"),
        ({"flag": 1}, r"train/arc/1\.png in it cannot be unpacked: .* encrypted"),
        ({"method": 99}, r"train/arc/1\.png in it cannot be unpacked: .* not supported"),
        ({"method": zipfile.ZIP_DEFLATED}, r"train/arc/1\.png in it is broken"),
    ],
    ids=["changed bytes", "encrypted", "unknown compression", "no deflate stream"],
)
def test_a_zip_that_cannot_be_unpacked_is_refused_by_its_file(tmp_path, changes, message):
    with pytest.raises(TrainingError, match=r"drawings\.zip: " + message):
        shapes.load_folders(archive_with(tmp_path / "drawings.zip", **changes), seed=1)


def test_a_name_that_the_system_refuses_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(TrainingError, match="File name too long"):
        shapes.load_folders(tmp_path / ("x" * 300), seed=1)


def test_the_recipe_that_trains_on_ones_own_drawings_asks_for_them():
    with pytest.raises(TrainingError, match="name a folder or zip with --data"):
        shapes.load_folders(None, seed=1)


def test_drawings_are_the_same_for_the_same_seed_and_differ_for_another():
    once, again, other = (drawings.draw(30, drawings.MANY_HANDS, seed).inputs for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_drawings_are_dark_strokes_on_white_in_classes_by_turns():
    rows = drawings.draw(300, drawings.OTHER_HANDS, seed=4)
    assert rows.inputs.shape == (300, 24, 24, 3)
    assert rows.truth[:6].tolist() == [0, 1, 2, 0, 1, 2]
    assert (rows.inputs.max(axis=(1, 2, 3)) == 255).all()
    assert (rows.inputs.min(axis=(1, 2, 3)) < 128).all()
    assert (rows.inputs == 255).mean() > 0.5


def test_drawings_of_the_data_are_tested_on_and_never_trained_on(folder, monkeypatch):
    for split in ("train", "test"):
        for label in drawings.CLASS_INDICES:
            put(folder, f"own/{split}/{label}/1.png")
    monkeypatch.setattr(shapes, "TRAIN_DRAWINGS", 60)
    data = shapes.load_drawings(folder / "own", seed=1)
    assert (len(data.train), len(data.test)) == (60, 3)
    own = {image.tobytes() for image in data.test.inputs}
    assert not own & {image.tobytes() for split in (data.train, data.validation) for image in split.inputs}


def test_labels_that_the_generator_cannot_draw_are_refused(folder, monkeypatch):
    monkeypatch.setattr(shapes, "TRAIN_DRAWINGS", 3)
    with pytest.raises(
        TrainingError, match="the labels are arc, square; this recipe draws circle, rectangle, triangle"
    ):
        shapes.load_drawings(folder, seed=1)
