"""What files and flags state is read into its types, or each fault is named: where, what came, what was expected."""

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from serving.stated import Fault, Misstated, read_object, read_struct, read_text, read_value


class Circle(Struct, forbid_unknown_fields=True, tag_field="kind", tag="circle"):
    radius: Annotated[float, Meta(gt=0)]


class Square(Struct, forbid_unknown_fields=True, tag_field="kind", tag="square"):
    side: int
    fill: Literal["dots", "none"] = "none"


class Frame(Struct, forbid_unknown_fields=True):
    sizes: dict[str, Annotated[int, Meta(ge=0, le=9)]] = {}


class Drawing(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-z]+\Z", description="small letters")]
    shapes: Annotated[tuple[Circle | Square, ...], Meta(min_length=1)] = (Circle(1.0),)
    scores: dict[str, Annotated[int, Meta(ge=0)]] = {}
    frame: Frame | None = None

    def __post_init__(self) -> None:
        if self.name == "empty" and self.scores:
            raise ValueError("an empty drawing has scores")


def faults(stated: dict[str, Any]) -> list[str]:
    with pytest.raises(Misstated) as error:
        read_struct(Drawing, stated)
    assert str(error.value) == "; ".join(map(str, error.value.faults))
    return [str(fault) for fault in error.value.faults]


def test_what_is_stated_as_expected_is_read():
    stated = {"name": "face", "shapes": [{"kind": "circle", "radius": 2}], "scores": {"ann": 1}}
    assert read_struct(Drawing, stated) == Drawing("face", (Circle(2.0),), {"ann": 1})


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("shapes", None, "shapes: null came; a list of at least 1 was expected"),
        ("shapes", [], "shapes: a list of at least 1 was expected"),
        ("shapes", [{"kind": "circle", "radius": 0}], "shapes.0.radius: 0 came; a number > 0 was expected"),
        ("shapes", [{"kind": "oval"}], "shapes.0.kind: 'oval' came; 'circle' or 'square' was expected"),
        ("shapes", [{"kind": 1}], "shapes.0.kind: 1 came; 'circle' or 'square' was expected"),
        ("shapes", [{"radius": 1}], "shapes.0.kind: it is missing; 'circle' or 'square' was expected"),
        (
            "shapes",
            [{"kind": "circle", "radius": 1}, {"kind": "square", "side": 1, "fill": "red"}],
            "shapes.1.fill: 'red' came; 'dots' or 'none' was expected",
        ),
        ("shapes", [{"kind": "square"}], "shapes.0.side: it is missing"),
        ("shapes", [{"kind": "circle", "radius": 1, "x": 1}], "shapes.0.x: nobody knows such a field"),
        ("shapes", [[1, 2]], "shapes.0: an object was expected"),
        ("frame", 5, "frame: 5 came; an object was expected"),
        ("frame", {"sizes": {"left": -1}}, "frame.sizes.left: -1 came; an integer >= 0 and <= 9 was expected"),
        ("frame", {"x - at `$.a[99]`": 1}, "frame.x - at `$.a[99]`: nobody knows such a field"),
        ("scores", {"ann": True}, "scores.ann: True came; an integer >= 0 was expected"),
        ("name", "A" * 100, f"name: {repr('A' * 100)[:64]} came; small letters was expected"),
        ("height", 1, "height: nobody knows such a field"),
    ],
)
def test_a_fault_says_where_it_is_what_came_and_what_was_expected(field, value, text):
    assert faults({"name": "face", field: value}) == [text]


def test_every_fault_is_told_at_whatever_depth():
    shapes = [{"kind": "circle", "radius": -1, "colour": "red"}, {"kind": "square", "side": "1", "fill": "red"}]
    assert faults({"shapes": shapes, "scores": {"ann": -1, "bob": 2, "cid": "3"}}) == [
        "name: it is missing",
        "shapes.0.radius: -1 came; a number > 0 was expected",
        "shapes.0.colour: nobody knows such a field",
        "shapes.1.side: '1' came; an integer was expected",
        "shapes.1.fill: 'red' came; 'dots' or 'none' was expected",
        "scores.ann: -1 came; an integer >= 0 was expected",
        "scores.cid: '3' came; an integer >= 0 was expected",
    ]


def test_what_may_be_null_is_read_as_none():
    assert read_struct(Drawing, {"name": "face", "frame": None}).frame is None


def test_what_does_not_go_together_is_told_of_the_whole():
    assert faults({"name": "empty", "scores": {"ann": 1}}) == ["an empty drawing has scores"]


def test_faults_found_before_are_told_first():
    with pytest.raises(Misstated) as error:
        read_struct(Drawing, {}, "drawing", faults=[Fault("scores", "too late")])
    assert str(error.value) == "scores: too late; drawing.name: it is missing"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, " 8500\r", 8500),
        (float, ".5", 0.5),
        (float, "inf", float("inf")),
        (str, " as it is ", " as it is "),
        *((bool, text, True) for text in ("true", "TRUE", "1", "yes", "on", "y", "t")),
        *((bool, text, False) for text in ("false", "0", "No", "off", "n", "f")),
    ],
)
def test_a_text_is_read_as_it_is_usually_written(kind, text, value):
    assert read_text(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        (int, "many", "'many' came; an integer was expected"),
        (int, "1e2", "'1e2' came; an integer was expected"),
        (int, "9" * 5000, f"{repr('9' * 64)[:64]} came; an integer was expected"),
        (Annotated[int, Meta(ge=0, le=7)], "8", "'8' came; an integer >= 0 and <= 7 was expected"),
        (Annotated[float, Meta(ge=0)], "nan", "'nan' came; a number >= 0 was expected"),
        (bool, "perhaps", "'perhaps' came; true or false was expected"),
        (bool, "\udcff", "'\\udcff' came; true or false was expected"),
        (Literal["a", "b", "c"], "d", "'d' came; 'a', 'b' or 'c' was expected"),
    ],
)
def test_a_text_that_is_none_of_its_kind_is_refused(kind, text, fault):
    with pytest.raises(Misstated) as error:
        read_text(kind, text)
    assert str(error.value) == fault


@pytest.mark.parametrize("kind", [int, float, bool])
def test_a_text_is_no_number_and_no_switch_where_a_value_is_expected(kind):
    with pytest.raises(Misstated, match=r"^'1' came; "):
        read_value(kind, "1")


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"a": NaN}', b'{"a": 1e400}', b"\xff", b"[" * 100_000], ids=lambda data: repr(data[:8])
)
def test_what_is_no_json_is_refused_without_being_repeated(data):
    with pytest.raises(Misstated, match=r"^it cannot be read as JSON: [A-Za-z0-9: -]+(\(byte \d+\))?$"):
        read_object(data)


def test_json_that_is_no_object_is_refused():
    with pytest.raises(Misstated, match=r"^an object was expected$"):
        read_object(b"[1]")
