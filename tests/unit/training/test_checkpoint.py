import os

import numpy as np
import pytest

from training.checkpoint import Checkpoint, SavedRun
from training.task import FitState, TrainingError

IDENTITY = {"task": "dots", "seed": 1}


def saved(epoch: int = 2) -> SavedRun:
    """A run's state with an awkward float, an empty list of arrays, and a scalar."""
    generator = np.random.default_rng(epoch)
    arrays: dict[str, list[np.ndarray]] = {
        "model": [generator.normal(size=(2, 3)).astype(np.float32), np.array([7, 9], np.uint32)],
        "optimizer": [np.array(5, np.int64)],
        "best": [],
    }
    state = FitState(epoch, {"loss": [0.1 + 0.2, 1 / 3]}, arrays, generator.bit_generator.state)
    return SavedRun(state, epochs=6, seconds=1.5, augment_seconds=0.25)


def test_what_was_written_is_read_bit_for_bit(tmp_path):
    written = saved()
    Checkpoint(tmp_path / "made" / "here", "dots", IDENTITY).write(written)
    read = Checkpoint(tmp_path / "made" / "here", "dots", IDENTITY).read()
    assert read
    assert (read.epochs, read.seconds, read.augment_seconds) == (6, 1.5, 0.25)
    assert (read.state.epoch, read.state.history, read.state.generator) == (
        written.state.epoch,
        written.state.history,
        written.state.generator,
    )
    for name, arrays in written.state.arrays.items():
        for was, now in zip(arrays, read.state.arrays[name], strict=True):
            assert (was.dtype, was.shape, was.tobytes()) == (now.dtype, now.shape, now.tobytes())


def test_another_run_never_reads_it(tmp_path):
    Checkpoint(tmp_path, "dots", IDENTITY).write(saved())
    assert Checkpoint(tmp_path, "dots", {**IDENTITY, "seed": 2}).read() is None


def test_a_file_of_another_run_under_this_runs_name_is_refused(tmp_path):
    mine, other = Checkpoint(tmp_path, "dots", IDENTITY), Checkpoint(tmp_path, "dots", {})
    other.write(saved())
    other.path.rename(mine.path)
    with pytest.raises(TrainingError, match=f"{mine.path.name}: the checkpoint of another run; --fresh begins anew"):
        mine.read()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"], ids=["empty", "text", "cut short"])
def test_a_broken_file_is_named(tmp_path, content):
    checkpoint = Checkpoint(tmp_path, "dots", IDENTITY)
    checkpoint.path.write_bytes(content)
    with pytest.raises(TrainingError, match=f"{checkpoint.path.name}: no checkpoint, or a broken one"):
        checkpoint.read()


def test_the_newest_takes_the_place_of_the_one_before_and_nothing_else_stays(tmp_path):
    checkpoint = Checkpoint(tmp_path, "dots", IDENTITY)
    for epoch in (1, 2, 3):
        checkpoint.write(saved(epoch))
    read = checkpoint.read()
    assert read
    assert read.state.epoch == 3
    assert list(tmp_path.iterdir()) == [checkpoint.path]
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_file_of_a_run_killed_long_ago_is_removed_and_a_young_one_is_not(tmp_path):
    checkpoint = Checkpoint(tmp_path, "dots", IDENTITY)
    old, young = (tmp_path / f".{checkpoint.path.stem}.{age}" for age in ("old", "young"))
    old.touch()
    os.utime(old, (0, 0))
    young.touch()
    checkpoint.write(saved())
    assert sorted(tmp_path.iterdir()) == sorted([checkpoint.path, young])


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match=r"file/dots-.*could not be written.*--checkpoints names another folder"):
        Checkpoint(tmp_path / "file", "dots", IDENTITY).write(saved())


def test_it_is_due_after_the_first_epoch_then_not_at_once_and_in_any_case_after_the_last(tmp_path):
    checkpoint = Checkpoint(tmp_path, "dots", IDENTITY)
    assert checkpoint.due(last=False)
    checkpoint.write(saved())
    assert not checkpoint.due(last=False)
    assert checkpoint.due(last=True)
