import gzip
import hashlib

import pytest

from training.datasets.fashion_mnist import CHECKSUMS, load_fashion_mnist
from training.datasets.sources import debian_package, find_files
from training.task import TrainingError

CONTENT = b"the content"
WANTED = {"file": hashlib.sha256(CONTENT).hexdigest()}


def place(folder):
    return (folder.name, lambda: folder)


@pytest.fixture
def folders(tmp_path):
    """Three places: empty, of other content, and good."""
    for name in ("empty", "other", "good"):
        (tmp_path / name).mkdir()
    (tmp_path / "other/file").write_bytes(b"something else")
    (tmp_path / "good/file.gz").write_bytes(gzip.compress(CONTENT))
    return tmp_path


def test_the_first_place_whose_files_are_the_published_ones_is_taken(folders):
    places = [place(folders / name) for name in ("empty", "other", "good")]
    assert find_files(places, WANTED) == ("good", {"file": CONTENT})


def test_the_error_names_each_place_and_what_was_wrong_there(folders):
    with pytest.raises(TrainingError) as failure:
        find_files([place(folders / name) for name in ("empty", "other")], WANTED)
    first, empty, other = str(failure.value).splitlines()
    assert first == "the data set was found nowhere:"
    assert "empty: file or file.gz is not in" in empty
    assert "other: file in" in other
    assert "is not the published one: its checksum differs" in other


@pytest.mark.parametrize("damage", ["cut short", "overwritten"])
def test_a_place_with_a_damaged_file_is_named_and_the_next_one_is_taken(folders, damage):
    packed = bytearray(gzip.compress(bytes(range(256)) * 9))
    if damage == "cut short":
        del packed[40:]
    else:
        packed[10] = 0xFF
    (folders / "empty/file.gz").write_bytes(packed)
    places = [place(folders / "empty"), place(folders / "good")]
    assert find_files(places, WANTED) == ("good", {"file": CONTENT})
    with pytest.raises(TrainingError, match=r"empty: file\.gz in .* is broken or cut short"):
        find_files(places[:1], WANTED)


def test_without_apt_the_debian_package_is_a_clear_no(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(OSError, match="apt-get and dpkg-deb are not here"):
        debian_package("dataset", "usr/share")
    assert not (tmp_path / "cache").exists()


def test_a_package_that_cannot_be_fetched_leaves_nothing_behind(tmp_path, monkeypatch):
    for program in ("apt-get", "dpkg-deb"):
        path = tmp_path / program
        path.write_text("#!/bin/sh\necho 'E: no such package' >&2\nexit 100\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SIGNET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(OSError, match="apt-get failed: E: no such package"):
        debian_package("dataset", "usr/share")
    assert list((tmp_path / "cache").iterdir()) == []


def test_fashion_mnist_of_another_content_is_refused_by_checksum(tmp_path):
    for name in CHECKSUMS:
        (tmp_path / name).write_bytes(b"pixels")
    with pytest.raises(TrainingError, match="is not the published one"):
        load_fashion_mnist(tmp_path, seed=1)
