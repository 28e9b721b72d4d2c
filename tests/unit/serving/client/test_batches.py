"""Rows cut into parts, and the parts' answers joined."""

import numpy as np
import pytest
from PIL import Image

from serving.client import Answer, Failure, Request, RowPrediction
from serving.client.batches import BATCH_BYTES, Batches
from serving.errors import InternalError, InvalidInput, ModelNotFound, Overloaded, Unavailable


def rows_of(part):
    inputs = part.inputs
    return len(next(iter(inputs.values()))) if isinstance(inputs, dict) else len(inputs)


def cut(inputs, batch_rows=256):
    return [rows_of(part) for part in Batches(Request("m", inputs), batch_rows).pending()]


def answer(version, *labels, **outputs):
    return Answer("m", version, "", tuple(RowPrediction(one, 0, 1.0) for one in labels), outputs)


@pytest.mark.parametrize(
    "inputs",
    [np.zeros((7, 2)), {"a": np.zeros((7, 2)), "b": np.zeros(7)}, [{"a": 1}] * 7, [b"png"] * 7, (b"png",) * 7],
    ids=["array", "arrays by name", "dicts", "images", "tuple"],
)
def test_no_part_has_more_rows_than_asked_for(inputs):
    assert cut(inputs, 3) == [3, 3, 1]
    assert cut(inputs, 7) == [7]


def test_the_parts_are_the_rows_in_order():
    parts = list(Batches(Request("m", [b"1", b"2", b"3"], top_k=2, return_scores=True), 2).pending())
    assert [part.inputs for part in parts] == [[b"1", b"2"], [b"3"]]
    assert {(part.top_k, part.return_scores) for part in parts} == {(2, True)}


@pytest.mark.parametrize("inputs", [{"a": 1, "b": 2}, b"png", "a.png", Image.new("L", (2, 2))], ids=repr)
def test_one_row_is_one_part(inputs):
    assert cut(inputs) == [1]


def test_large_rows_make_smaller_parts():
    assert cut(np.zeros((5, BATCH_BYTES // 2), np.uint8)) == [2, 2, 1]
    assert cut([b"x" * (BATCH_BYTES // 2), b"x" * (BATCH_BYTES // 2), b"x" * (2 * BATCH_BYTES), b"x"]) == [2, 1, 1]
    assert cut([Image.new("RGBA", (1000, 2000))] * 3) == [1, 1, 1]


def test_large_files_make_smaller_parts(tmp_path):
    large = tmp_path / "large.png"
    large.write_bytes(bytes(BATCH_BYTES))
    assert cut([large, large, str(tmp_path / "none.png")]) == [1, 2]


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([], "0 rows came"),
        (np.zeros((0, 2)), "0 rows came"),
        (np.float32(1), "float32 came"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "2, 3 rows came; one number of rows"),
        (7, "int came"),
    ],
    ids=["empty list", "no rows", "a number", "ragged", "no rows at all"],
)
def test_inputs_without_rows_to_cut_are_refused(inputs, text):
    with pytest.raises(InvalidInput, match=text):
        Batches(Request("m", inputs), 2)


def test_parts_of_less_than_a_row_are_refused():
    with pytest.raises(InvalidInput, match="batch_rows: 0 came"):
        Batches(Request("m", [b"png"]), 0)


def test_the_version_that_answered_first_answers_the_rest():
    batches = Batches(Request("m", np.zeros((3, 1))), 1)
    assert batches.next().version is None
    batches.add(answer(7, "a"))
    assert [part.version for part in batches.pending()] == [7, 7]


def test_answers_are_joined_in_order_and_told_of():
    told = []
    batches = Batches(Request("m", np.zeros((3, 1))), 2, lambda *rows: told.append(rows))
    batches.add(answer(1, "a", "b", y=np.array([1, 2])))
    assert batches.left == 1
    batches.add(answer(1, "c", y=np.array([3])))
    assert batches.left == 0
    joined = batches.joined()
    assert [row.label for row in joined.predictions] == ["a", "b", "c"]
    assert joined.outputs["y"].tolist() == [1, 2, 3]
    assert told == [(2, 3), (3, 3)]


def test_an_output_without_rows_is_not_joined():
    batches = Batches(Request("m", np.zeros((2, 1))), 1)
    for _ in range(2):
        batches.add(answer(1, y=np.array(3.0)))
    with pytest.raises(InternalError, match="output y: it has no rows"):
        batches.joined()


@pytest.mark.parametrize("error", [Unavailable("later"), Overloaded("full", 1.0)], ids=["unavailable", "overloaded"])
def test_a_part_that_may_pass_later_is_to_be_sent_alone(error):
    assert not Batches(Request("m", [b"png"]), 1).passes(Failure("", error))


def test_a_wrong_row_is_told_with_the_rows_of_its_part():
    batches = Batches(Request("m", [b"png"] * 5), 2)
    batches.add(answer(1, "a", "b"))
    with pytest.raises(InvalidInput, match=r"in rows 2 to 3, counted from the first of them: images\[1\]: no image"):
        batches.passes(Failure("", InvalidInput("images[1]: no image")))


def test_what_another_try_cannot_help_is_raised_as_it_came():
    error = ModelNotFound("gone")
    with pytest.raises(ModelNotFound) as raised:
        Batches(Request("m", [b"png"]), 1).passes(Failure("", error))
    assert raised.value is error
