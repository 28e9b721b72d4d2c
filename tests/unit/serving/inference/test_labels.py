"""Scores become labels: by falling score, ties by the lower class index, NaN last; a sigmoid by its threshold."""

import numpy as np
import pytest

from serving.inference.labels import Decision, Labeller, top_k_classes

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


def test_each_row_gets_its_own_label_and_scores():
    labelled = Labeller("y", ("a", "b"), Decision("argmax")).label(scores([0.9, 0.1], [0.2, 0.8]), top_k=1)
    assert labelled.class_indices.tolist() == [0, 1]
    assert labelled.top.tolist() == [[0], [1]]
    assert labelled.scores.dtype == np.float32
    assert labelled.probability is None


@pytest.mark.parametrize(
    ("probability", "threshold", "index"),
    [
        pytest.param(0.5, 0.5, 1, id="at the threshold is positive"),
        pytest.param(0.499, 0.5, 0, id="below is negative"),
        pytest.param(0.6, 0.75, 0, id="below a higher threshold is negative, though more likely"),
        pytest.param(0.3, 0.25, 1, id="above a lower threshold is positive, though less likely"),
        pytest.param(NAN, 0.5, 0, id="NaN is not positive"),
    ],
)
def test_a_sigmoid_is_decided_by_its_threshold(probability, threshold, index):
    labeller = Labeller("p", ("negative", "positive"), Decision("sigmoid", threshold))
    assert labeller.label(scores([probability]), top_k=2).class_indices.tolist() == [index]


def test_a_sigmoid_has_two_scores_and_its_probability():
    labelled = Labeller("p", ("negative", "positive"), Decision("sigmoid")).label(scores([0.25]), top_k=2)
    assert labelled.scores.tolist() == [[0.75, 0.25]]
    assert labelled.top.tolist() == [[0, 1]]
    assert labelled.probability is not None
    assert labelled.probability.tolist() == [0.25]


def test_half_precision_scores_are_labelled_as_float32():
    output = np.array([[0.25, 0.75]], np.float16)
    assert Labeller("y", ("a", "b"), Decision("argmax")).label(output, top_k=1).scores.dtype == np.float32
