"""Disks that are full and folders that cannot be written: an error that names the file, and nothing half-written."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tiny_runs import image_run
from training.export import check_repository, export_package
from training.task import RunRecord, TrainingError

LABELS = {"circle": 0, "rectangle": 1, "triangle": 2}


@contextmanager
def no_file_over(size_bytes: int) -> Iterator[None]:
    """Let every write beyond `size_bytes` of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def large_report(_: RunRecord, folder: Path) -> None:
    (folder / "report.html").write_bytes(b"a" * 500_000)


@pytest.mark.parametrize(
    ("size_bytes", "named"),
    [(100, "variables/"), (10_000, "saved_model.pb"), (400_000, "report")],
    ids=["the weights", "the SavedModel", "the report"],
)
def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path, size_bytes, named):
    model, run = image_run()
    with (
        no_file_over(size_bytes),
        pytest.raises(
            TrainingError,
            match=rf"dots: the package .* written to {tmp_path}: .*File too large: '.*staging-\w+/{named}",
        ),
    ):
        export_package(model, run, tmp_path, large_report)
    assert files(tmp_path) == []


def test_a_repository_that_cannot_be_made_is_refused_before_training(tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(TrainingError, match=r"task dots: the package could not be written to .*models"):
        check_repository(tmp_path / "models", "dots", LABELS)


def test_checking_a_repository_leaves_no_file(tmp_path):
    check_repository(tmp_path / "new", "dots", LABELS)
    assert files(tmp_path) == []
