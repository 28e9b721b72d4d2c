"""What files and flags state is read into its types, or each fault is named: where, what came, what was expected."""

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from serving.stated import Fault, Misstated, read_object, read_struct, read_value


class Circle(Struct, forbid_unknown_fields=True, tag_field="kind", tag="circle"):
    radius: Annotated[float, Meta(gt=0)]


class Square(Struct, forbid_unknown_fields=True, tag_field="kind", tag="square"):
    side: int
    fill: Literal["dots", "none"] = "none"


class Drawing(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-z]+\Z")]
    shapes: list[Circle | Square] = []
    scores: dict[str, Annotated[int, Meta(ge=0)]] = {}

    def __post_init__(self) -> None:
        if self.name == "empty" and self.shapes:
            raise ValueError("an empty drawing has shapes")


def faults(stated: dict[str, Any]) -> list[str]:
    with pytest.raises(Misstated) as error:
        read_struct(Drawing, stated)
    assert str(error.value) == "; ".join(map(str, error.value.faults))
    return [str(fault) for fault in error.value.faults]


def test_what_is_stated_as_expected_is_read():
    stated = {"name": "face", "shapes": [{"kind": "circle", "radius": 2}], "scores": {"ann": 1}}
    assert read_struct(Drawing, stated) == Drawing("face", [Circle(2.0)], {"ann": 1})


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("shapes", None, "shapes: null came; a list was expected"),
        ("shapes", [{"kind": "circle", "radius": 0}], "shapes.0.radius: 0 came; a number > 0 was expected"),
        ("shapes", [{"kind": "oval"}], "shapes.0.kind: 'oval' came; 'circle' or 'square' was expected"),
        (
            "shapes",
            [{"kind": "circle", "radius": 1}, {"kind": "square", "side": 1, "fill": "red"}],
            "shapes.1.fill: 'red' came; 'dots' or 'none' was expected",
        ),
        ("shapes", [{"kind": "square"}], "shapes.0: object missing required field `side`"),
        ("shapes", [{"kind": "circle", "radius": 1, "x": 1}], "shapes.0: object contains unknown field `x`"),
        ("shapes", [[1, 2]], "shapes.0: an object was expected"),
        ("scores", {"ann": True}, "scores.ann: True came; an integer was expected"),
        ("name", "A" * 100, f"name: {repr('A' * 100)[:64]} came; a text matching regex '^[a-z]+\\\\Z' was expected"),
        ("height", 1, "height: nobody knows such a field"),
    ],
)
def test_a_fault_says_where_it_is_what_came_and_what_was_expected(field, value, text):
    assert faults({"name": "face", field: value}) == [text]


def test_the_faults_of_all_fields_and_of_all_values_of_a_dict_are_told():
    assert faults({"shapes": 1, "scores": {"ann": -1, "bob": 2, "cid": "3"}}) == [
        "name: it is missing",
        "shapes: 1 came; a list was expected",
        "scores.ann: -1 came; an integer >= 0 was expected",
        "scores.cid: '3' came; an integer was expected",
    ]


def test_what_does_not_go_together_is_told_of_the_whole():
    assert faults({"name": "empty", "shapes": [{"kind": "circle", "radius": 1}]}) == ["an empty drawing has shapes"]


def test_faults_found_before_are_told_first():
    with pytest.raises(Misstated) as error:
        read_struct(Drawing, {}, "drawing", faults=[Fault("scores", "too late")])
    assert str(error.value) == "scores: too late; drawing.name: it is missing"


def test_texts_are_numbers_and_switches_only_where_that_is_asked_for():
    assert read_value(int, "7", strict=False) == 7
    assert read_value(bool, "true", strict=False) is True
    with pytest.raises(Misstated, match=r"^'7' came; an integer was expected$"):
        read_value(int, "7")


@pytest.mark.parametrize("data", [b"", b"{", b'{"a": NaN}', b"\xff", b"[" * 100_000], ids=lambda data: repr(data[:8]))
def test_what_is_no_json_is_refused_without_being_repeated(data):
    with pytest.raises(Misstated, match=r"^no JSON: [A-Za-z]"):
        read_object(data)


def test_json_that_is_no_object_is_refused():
    with pytest.raises(Misstated, match=r"^an object was expected$"):
        read_object(b"[1]")
