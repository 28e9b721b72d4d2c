"""Scores become labels: by falling score, ties by the lower class index, NaN last; a sigmoid by its threshold."""

import numpy as np
import pytest

from serving.inference.labels import DECISIONS, Decision, Labeller, LabellingSession, top_k_classes
from serving.inference.session import OnnxSession, SessionSettings
from tests import tiny_models as tiny

NAN = float("nan")


def scores(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("row", "k", "best"),
    [
        pytest.param([0.1, 0.7, 0.2], 3, [1, 2, 0], id="falling scores"),
        pytest.param([0.4, 0.2, 0.4], 3, [0, 2, 1], id="a tie by the lower class index"),
        pytest.param([0.25] * 4, 4, [0, 1, 2, 3], id="all equal in order"),
        pytest.param([NAN, 0.1, 0.9], 3, [2, 1, 0], id="NaN last"),
        pytest.param([NAN, -np.inf, NAN], 3, [1, 0, 2], id="NaN behind minus infinity"),
        pytest.param([0.1, 0.7, 0.2], 2, [1, 2], id="the best two"),
        pytest.param([0.1, 0.7, 0.2], 9, [1, 2, 0], id="more than there are is all"),
    ],
)
def test_the_best_classes_come_in_order(row, k, best):
    assert top_k_classes(scores(row), k).tolist() == [best]


def test_ties_of_many_classes_keep_the_order_of_the_index():
    alternating = np.tile(np.array([0, 1], np.float32), 250)[None]
    odd, even = list(range(1, 500, 2)), list(range(0, 500, 2))
    assert top_k_classes(alternating, 500).tolist() == [odd + even]


def test_each_row_gets_its_own_label_and_score():
    decided = Labeller("y", ("a", "b"), Decision("argmax")).decide(scores([0.875, 0.125], [0.25, 0.75]))
    assert decided[["class_index", "best", "score", "best_score"]].tolist() == [
        (0, 0, 0.875, 0.875),
        (1, 1, 0.75, 0.75),
    ]


@pytest.mark.parametrize(
    ("row", "index"),
    [
        pytest.param([0.5, 0.5, 0.25], 0, id="a tie by the lower class index"),
        pytest.param([NAN, 0.25, 0.75], 2, id="NaN is not the best"),
        pytest.param([NAN, NAN, NAN], 0, id="all NaN is the first"),
    ],
)
def test_the_decided_class_is_the_first_of_the_order(row, index):
    decided = Labeller("y", ("a", "b", "c"), Decision("argmax")).decide(scores([0.0, 1.0, 0.0], row))
    assert decided["class_index"].tolist() == [1, index]
    for score in ("score", "best_score"):
        np.testing.assert_array_equal(decided[score], np.array([1.0, row[index]], np.float32))
    assert top_k_classes(scores(row), 1).tolist() == [[index]]


@pytest.mark.parametrize(
    ("probability", "threshold", "index", "best"),
    [
        pytest.param(0.5, 0.5, 1, 0, id="at the threshold is positive"),
        pytest.param(0.499, 0.5, 0, 0, id="below is negative"),
        pytest.param(0.6, 0.75, 0, 1, id="below a higher threshold is negative, though more likely"),
        pytest.param(0.3, 0.25, 1, 0, id="above a lower threshold is positive, though less likely"),
        pytest.param(NAN, 0.5, 0, 0, id="NaN is not positive"),
    ],
)
def test_a_sigmoid_is_decided_by_its_threshold(probability, threshold, index, best):
    decided = Labeller("p", ("negative", "positive"), Decision("sigmoid", threshold)).decide(scores([probability]))
    assert decided[["class_index", "best"]].tolist() == [(index, best)]
    of_class = np.array([1 - np.float32(probability), probability], np.float32)
    np.testing.assert_array_equal([decided["score"][0], decided["best_score"][0]], of_class[[index, best]])


def test_a_sigmoid_has_two_scores_and_its_probability():
    labeller = Labeller("p", ("negative", "positive"), Decision("sigmoid"))
    assert labeller.scores(scores([0.25])).tolist() == [[0.75, 0.25]]
    assert labeller.decide(scores([0.25])).tolist() == [(0, 0, 0.75, 0.75, 0.25)]


def test_half_precision_scores_are_labelled_as_float32():
    output = np.array([[0.25, 0.75]], np.float16)
    labeller = Labeller("y", ("a", "b"), Decision("argmax"))
    assert labeller.scores(output).dtype == np.float32
    assert labeller.decide(output)["score"].tolist() == [0.75]


def test_a_session_that_labels_adds_its_decisions_and_counts_them():
    counted: list[dict[str, int]] = []
    session = OnnxSession.open(tiny.identity_model(shape=(None, 2)), SessionSettings(intra_op_threads=1))
    labelling = LabellingSession(session, Labeller("y", ("a", "b"), Decision("argmax")), counted.append)
    outputs = labelling.run({"x": scores([1, 0], [0, 1], [0, 1])})
    assert outputs["y"].tolist() == [[1, 0], [0, 1], [0, 1]]
    assert outputs[DECISIONS]["class_index"].tolist() == [0, 1, 1]
    assert counted == [{"a": 1, "b": 2}]
