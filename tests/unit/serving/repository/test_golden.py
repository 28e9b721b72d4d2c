"""Recorded inputs give the recorded outputs, or the version is refused with the figures."""

from pathlib import Path

import numpy as np
import pytest

from serving.errors import ModelBroken
from serving.inference.session import OnnxSession, SessionSettings
from serving.inference.signature import Tensors
from serving.repository.golden import GoldenResult, check_golden, read_golden
from serving.repository.manifest import Golden
from tests import tiny_models as tiny

ROWS = np.array([[1, 0], [0, 2], [3, 4]], np.float32)
GOLDEN = Golden(3, {"cpu": 1e-3, "cuda": 1.0})


@pytest.fixture(scope="module")
def pairs() -> OnnxSession:
    """`a` and `b` to their sum and difference."""
    return OnnxSession.open(tiny.two_outputs_model(), SessionSettings(intra_op_threads=1))


INPUTS: Tensors = {"a": ROWS, "b": np.ones_like(ROWS)}
OUTPUTS: Tensors = {"sum": ROWS + 1, "difference": ROWS - 1}


def reason(session: OnnxSession, inputs: Tensors, expected: Tensors) -> str:
    with pytest.raises(ModelBroken) as error:
        check_golden(session, GOLDEN, inputs, expected)
    return str(error.value)


def test_equal_outputs_pass_with_their_figures(pairs):
    assert check_golden(pairs, GOLDEN, INPUTS, OUTPUTS) == GoldenResult(3, 0.0, 1e-3)


def test_a_difference_within_the_tolerance_passes_and_is_told(pairs):
    off = {**OUTPUTS, "difference": OUTPUTS["difference"] - np.float32(0.0005)}
    assert check_golden(pairs, GOLDEN, INPUTS, off).max_abs_difference == pytest.approx(0.0005, rel=1e-3)


def test_the_tolerance_is_that_of_the_actual_provider(pairs):
    off = {**OUTPUTS, "sum": OUTPUTS["sum"] + np.float32(0.5)}
    text = reason(pairs, INPUTS, off)
    assert text == (
        "golden check: output sum differs by 0.5 from the recorded one on CPUExecutionProvider; "
        "at most 0.001 is allowed"
    )


@pytest.mark.parametrize("row", [0, 2], ids=["first row", "last row"])
def test_one_number_off_is_enough(pairs, row):
    off = OUTPUTS["difference"].copy()
    off[row, 1] += 1
    assert "output difference differs by 1 " in reason(pairs, INPUTS, {**OUTPUTS, "difference": off})


def test_not_a_number_is_never_within_the_tolerance(pairs):
    off = {**OUTPUTS, "sum": np.full_like(ROWS, np.nan)}
    assert "output sum differs by nan" in reason(pairs, INPUTS, off)


def test_another_shape_is_told(pairs):
    assert reason(pairs, INPUTS, {**OUTPUTS, "sum": OUTPUTS["sum"][:2]}) == (
        "golden check: output sum is [3, 2], recorded was [2, 2]"
    )


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        pytest.param({"a": ROWS}, OUTPUTS, id="an input missing"),
        pytest.param({**INPUTS, "c": ROWS}, OUTPUTS, id="an input too many"),
        pytest.param(INPUTS, {"sum": OUTPUTS["sum"]}, id="an output missing"),
        pytest.param({}, {}, id="nothing"),
    ],
)
def test_other_tensors_than_the_models_are_told(pairs, inputs, expected):
    assert reason(pairs, inputs, expected) == "golden.npz holds other tensors than the model has"


def test_integer_outputs_are_compared_without_wrapping_around():
    rows = np.array([[0, 255]], np.uint8)
    session = OnnxSession.open(tiny.identity_model(2), SessionSettings(intra_op_threads=1))
    assert "differs by 255 " in reason(session, {"x": rows}, {"y": rows[:, ::-1]})


def test_recorded_tensors_are_read_by_name(tmp_path):
    arrays = {"input.a": ROWS, "input.b.c": ROWS, "output.sum": ROWS}
    np.savez(tmp_path / "golden.npz", **arrays)  # type: ignore[arg-type] # the stubs mistake arrays for allow_pickle
    inputs, outputs = read_golden(tmp_path)
    assert (set(inputs), set(outputs)) == ({"a", "b.c"}, {"sum"})


def write_nothing(folder: Path) -> None:
    """There is no file."""


def write_text(folder: Path) -> None:
    (folder / "golden.npz").write_text("no archive")


def write_pickle(folder: Path) -> None:
    objects = np.array([{"code": "would run"}], object)
    np.savez(folder / "golden.npz", **{"input.a": objects})  # type: ignore[arg-type] # as above


@pytest.mark.parametrize("write", [write_nothing, write_text, write_pickle], ids=["missing", "no archive", "a pickle"])
def test_a_file_that_cannot_be_read_is_told_without_its_path(tmp_path, write):
    write(tmp_path)
    with pytest.raises(ModelBroken) as error:
        read_golden(tmp_path)
    assert str(error.value) == "golden.npz cannot be read"
