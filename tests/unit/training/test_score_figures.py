import numpy as np
import pytest

from training.score_figures import brier, calibration, roc, threshold_table

PROBABILITY = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.3])
TRUTH = np.array([1, 1, 0, 1, 0, 0])


def test_the_calibration_error_weighs_the_gap_of_each_bin_by_its_rows():
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.6, 0.6])
    right = np.array([True, True, True, False, True, False])
    # 4/6 of the rows are 0.15 too sure, 2/6 are 0.1 too sure.
    assert calibration(confidence, right).ece == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.1)


def test_gaps_of_both_signs_within_a_bin_cancel_and_between_bins_do_not():
    one_bin = calibration(np.array([0.61, 0.63]), np.array([True, False]), bins=5)
    assert one_bin.ece == pytest.approx(0.62 - 0.5)
    two_bins = calibration(np.array([0.5, 0.9]), np.array([True, False]), bins=5)
    assert two_bins.ece == pytest.approx((0.5 + 0.9) / 2)


def test_a_bin_holds_its_upper_edge_and_the_first_also_zero():
    assert calibration(np.array([0.0, 0.25, 0.26, 1.0]), np.ones(4, dtype=bool), bins=4).rows == [2, 1, 0, 1]


def test_a_bin_without_rows_has_no_means():
    binned = calibration(np.array([0.9]), np.array([True]), bins=2)
    assert (binned.confidence, binned.accuracy) == ([None, 0.9], [None, 1.0])


def test_the_bins_are_15_unless_told_otherwise():
    binned = calibration(np.array([0.5]), np.array([True]))
    assert (binned.bins, len(binned.rows)) == (15, 15)


def test_the_area_is_the_share_of_pairs_that_are_in_order():
    # Of nine pairs of a positive and a negative, (0.6, 0.7) alone is not.
    curve = roc(PROBABILITY, TRUTH)
    assert curve is not None
    assert curve.auc == pytest.approx(8 / 9)


def test_the_area_equals_counting_pairs_with_ties_as_halves():
    generator = np.random.default_rng(2)
    probability = generator.integers(0, 12, 200) / 12
    truth = generator.integers(0, 2, 200)
    positive, negative = probability[truth == 1], probability[truth == 0]
    pairs = np.sign(positive[:, None] - negative[None, :])
    curve = roc(probability, truth)
    assert curve is not None
    assert curve.auc == pytest.approx(np.mean((pairs + 1) / 2))


def test_the_area_is_that_under_the_corners_of_the_curve():
    generator = np.random.default_rng(3)
    curve = roc(generator.random(300).round(2), generator.integers(0, 2, 300))
    assert curve is not None
    across = [point.false_positive_rate for point in curve.points]
    assert np.trapezoid([point.true_positive_rate for point in curve.points], across) == pytest.approx(curve.auc)


def test_the_curve_has_the_corners_with_the_thresholds_that_give_them():
    curve = roc(PROBABILITY, TRUTH)
    assert curve is not None
    assert [(p.threshold, p.false_positive_rate, p.true_positive_rate) for p in curve.points] == [
        (None, 0.0, 0.0),
        (0.8, 0.0, pytest.approx(2 / 3)),
        (0.7, pytest.approx(1 / 3), pytest.approx(2 / 3)),
        (0.6, pytest.approx(1 / 3), 1.0),
        (0.3, 1.0, 1.0),
    ]


def test_equal_probabilities_are_one_step():
    curve = roc(np.full(4, 0.5), np.array([0, 1, 0, 1]))
    assert curve is not None
    assert curve.auc == 0.5
    assert len(curve.points) == 2


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_class_have_no_curve(label):
    assert roc(np.array([0.2, 0.7]), np.array([label, label])) is None


def test_a_threshold_calls_positive_from_itself_on():
    at = next(figures for figures in threshold_table(PROBABILITY, TRUTH, 0.5) if figures.threshold == 0.6)
    assert [at.sensitivity, at.specificity, at.precision, at.accuracy] == pytest.approx([1, 2 / 3, 3 / 4, 5 / 6])


def test_the_decisions_threshold_stands_among_the_tenths():
    thresholds = [figures.threshold for figures in threshold_table(PROBABILITY, TRUTH, 0.35)]
    assert thresholds == [0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def test_a_threshold_that_no_row_reaches_has_no_precision():
    assert threshold_table(np.array([0.2, 0.4]), np.array([0, 1]), 0.5)[-1].precision is None


def test_brier_is_the_mean_square_of_the_difference():
    assert brier(np.array([0.9, 0.2]), np.array([1, 1])) == pytest.approx((0.01 + 0.64) / 2)
