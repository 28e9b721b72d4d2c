import fcntl
import os
from pathlib import Path

import pytest

from training.staging import publish, staging_folder, versions


def test_a_staging_folder_is_no_version(tmp_path):
    with staging_folder(tmp_path / "dots"):
        assert versions(tmp_path / "dots") == []


def test_a_staging_folder_that_is_not_published_is_gone(tmp_path):
    with staging_folder(tmp_path) as folder:
        (folder / "half").write_text("half")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    left = tmp_path / ".staging-0badc0de"
    (left / "variables").mkdir(parents=True)
    with staging_folder(tmp_path):
        assert not left.exists()


def test_the_folder_of_a_living_run_stays(tmp_path):
    living = tmp_path / ".staging-11111111"
    living.mkdir()
    descriptor = os.open(living, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with staging_folder(tmp_path):
        assert living.exists()
    os.close(descriptor)


def test_the_next_version_is_one_more_than_the_highest(tmp_path):
    for name in ("2", "10", "old", ".7"):
        (tmp_path / name).mkdir()
    with staging_folder(tmp_path) as folder:
        assert publish(folder, tmp_path, lambda _: None).name == "11"


def test_a_version_taken_in_between_gives_the_one_after_it(tmp_path):
    told = []

    def finish(version: int) -> None:
        told.append(version)
        if version == 1:
            (tmp_path / "1").mkdir()
            (tmp_path / "1" / "manifest.json").write_text("{}")

    with staging_folder(tmp_path) as folder:
        (folder / "manifest.json").write_text("mine")
        published = publish(folder, tmp_path, finish)
    assert (told, published) == ([1, 2], tmp_path / "2")
    assert (published / "manifest.json").read_text() == "mine"


def test_a_published_folder_can_be_read_by_others(tmp_path: Path):
    mask = os.umask(0o022)
    try:
        with staging_folder(tmp_path) as folder:
            published = publish(folder, tmp_path, lambda _: None)
    finally:
        os.umask(mask)
    assert published.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "name", ["0", "-1", "1.0", "\N{ARABIC-INDIC DIGIT ONE}"], ids=["zero", "negative", "fraction", "other digits"]
)
def test_a_folder_that_is_no_positive_integer_is_no_version(tmp_path, name):
    (tmp_path / name).mkdir()
    assert versions(tmp_path) == []
