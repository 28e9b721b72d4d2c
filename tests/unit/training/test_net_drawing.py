import xml.etree.ElementTree as ET

import keras

from training.net_drawing import net_svg

layers = keras.layers


def _drawn(model: keras.Model) -> ET.Element:
    return ET.fromstring(net_svg(model))  # noqa: S314


def _boxes(drawing: ET.Element) -> list[str]:
    return [title.text or "" for title in drawing.iter("title")]


def _lines(drawing: ET.Element, group: str) -> int:
    return sum(path.get("class") == group for path in drawing.iter("path"))


def _residual() -> keras.Model:
    inputs = keras.Input((4, 4, 2))
    first = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(2, 3, padding="same")(inputs)))
    second = layers.Conv2D(2, 3, padding="same")(first)
    summed = layers.Add()([first, layers.Conv2D(2, 1)(second)])
    pooled = layers.Concatenate()([layers.GlobalMaxPooling2D()(summed), layers.GlobalAveragePooling2D()(summed)])
    return keras.Model(inputs, layers.Dense(3)(pooled))


def test_each_layer_is_a_box_with_its_shape_and_its_parameters():
    net = keras.Sequential([keras.Input((5,)), layers.Dense(4, activation="relu"), layers.Dense(1)])
    assert _boxes(_drawn(net)) == [
        "Dense, 4 units, relu, output 4, 24 parameters",
        "Dense, 1 units, output 1, 5 parameters",
    ]


def test_what_follows_a_layer_stands_in_its_box_and_its_parameters_count_there():
    assert _boxes(_drawn(_residual()))[1].endswith(f"{2 * 2 * 9 + 2 + 4 * 2} parameters")
    assert not any(box.startswith(("BatchNormalization", "ReLU")) for box in _boxes(_drawn(_residual())))


def test_a_sum_with_an_earlier_layer_has_a_line_around_the_layers_between():
    drawing = _drawn(_residual())
    assert _lines(drawing, "flow skip") == 1
    # Input to conv, conv to conv, conv to conv, conv to sum, sum to two pools, two pools joined, to dense.
    assert _lines(drawing, "flow") == 9


def test_layers_side_by_side_stand_on_one_line():
    boxes = [group for group in _drawn(_residual()).iter("g") if "Pooling" in (group.findtext("title") or "")]
    first, second = (group.find("rect") for group in boxes)
    assert first is not None
    assert second is not None
    assert first.get("y") == second.get("y")
    assert float(second.get("x", 0)) > float(first.get("x", 0)) + float(first.get("width", 0))


def test_a_layer_that_is_used_by_two_keeps_what_follows_apart():
    inputs = keras.Input((4,))
    shared = layers.Dense(4)(inputs)
    net = keras.Model(inputs, layers.Add()([shared, layers.ReLU()(shared)]))
    assert [box.split(",")[0] for box in _boxes(_drawn(net))] == ["InputLayer", "Dense", "ReLU", "Add"]


def test_lines_around_layers_that_overlap_take_lanes_of_their_own():
    inputs = keras.Input((4,))
    first = layers.Dense(4)(inputs)
    second = layers.Dense(4)(first)
    third = layers.Dense(4)(second)
    net = keras.Model(inputs, layers.Add()([layers.Add()([third, first]), second, inputs]))
    paths = [path.get("d", "") for path in _drawn(net).iter("path") if path.get("class") == "flow skip"]
    assert len({path.split("Q")[1].split()[0] for path in paths}) == len(paths) == 3


def test_everything_lies_inside_the_drawing():
    drawing = _drawn(_residual())
    _, _, width, height = map(float, (drawing.get("viewBox") or "").split())
    for box in drawing.iter("rect"):
        assert float(box.get("x", 0)) + float(box.get("width", 0)) <= width
        assert float(box.get("y", 0)) + float(box.get("height", 0)) <= height


def test_a_model_inside_a_model_is_one_box():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="inner")
    outer = keras.Sequential([keras.Input((3,)), inner, layers.Dense(1)])
    assert [box.split(",")[0] for box in _boxes(_drawn(outer))] == ["Sequential", "Dense"]
