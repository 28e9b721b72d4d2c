import numpy as np
import pytest

from training.class_figures import findings

ARGMAX = {"kind": "argmax"}
SCORES = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.4, 0.6, 0.0]], dtype=np.float32)
TRUTH = np.array([0, 1, 1, 0])


def test_confusion_has_truth_down_and_prediction_across():
    assert findings(SCORES, TRUTH, ["a", "b", "c"], ARGMAX).confusion.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_correct_and_total_count_rows():
    judged = findings(SCORES, TRUTH, ["a", "b", "c"], ARGMAX)
    assert (judged.correct, judged.total) == (2, 4)


def test_mistakes_come_the_most_confident_first():
    assert findings(SCORES, TRUTH, ["a", "b", "c"], ARGMAX).mistakes.tolist() == [2, 3]


def test_a_class_without_rows_and_predictions_has_no_ratios():
    figures = findings(SCORES, TRUTH, ["a", "b", "c"], ARGMAX).classes[2]
    assert (figures.rows, figures.precision, figures.recall, figures.f1) == (0, None, None, None)


def test_precision_and_recall_are_of_the_class():
    truth = np.array([0, 1, 0, 0])
    figures = findings(SCORES, truth, ["a", "b", "c"], ARGMAX).classes[0]
    assert [figures.precision, figures.recall, figures.f1] == pytest.approx([1.0, 2 / 3, 0.8])


def test_a_sigmoid_is_class_1_from_the_threshold_on():
    scores = np.array([[0.25], [0.5], [0.75]], dtype=np.float32)
    judged = findings(scores, np.array([0, 0, 1]), ["no", "yes"], {"kind": "sigmoid", "threshold": 0.5})
    assert judged.predicted.tolist() == [0, 1, 1]
    assert judged.confidence.tolist() == [0.75, 0.5, 0.75]
