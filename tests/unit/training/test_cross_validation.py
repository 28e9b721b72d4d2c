import numpy as np
import pytest

from training.cross_validation import auc, cross_validate, stratified_folds
from training.task import Rows

TRUTH = np.array([0] * 30 + [1] * 10, np.int64)


def test_every_repeat_holds_each_row_out_once_and_each_fold_has_its_share_of_each_class():
    folds = list(stratified_folds(TRUTH, folds=10, repeats=3, seed=1))
    assert len(folds) == 30
    for repeat in range(3):
        held = np.concatenate(folds[repeat * 10 : repeat * 10 + 10])
        assert sorted(held.tolist()) == list(range(40))
    assert {(int((TRUTH[fold] == 0).sum()), int((TRUTH[fold] == 1).sum())) for fold in folds} == {(3, 1)}


@pytest.mark.parametrize(
    ("scores", "area"),
    [([0.1, 0.2, 0.8, 0.9], 1.0), ([0.9, 0.8, 0.2, 0.1], 0.0), ([0.5] * 4, 0.5), ([0.1, 0.6, 0.5, 0.9], 0.75)],
    ids=["all positives above", "all below", "ties count half", "one pair of four wrong"],
)
def test_auc_is_the_share_of_pairs_in_the_right_order(scores, area):
    assert auc(np.array(scores), np.array([0, 0, 1, 1])) == area


def test_no_held_out_row_is_seen_by_the_fit():
    rows = Rows(np.arange(40, dtype=np.float32)[:, None], TRUTH)

    def fit_and_score(train, test):
        assert not set(train.inputs.ravel()) & set(test.inputs.ravel())
        assert len(train) + len(test) == 40
        return np.full(len(test), 0.25, np.float32)

    figures = cross_validate(rows, fit_and_score, threshold=0.5, seed=1)
    assert figures == {
        "cv_accuracy": pytest.approx(0.75),
        "cv_auc": 0.5,
        "cv_brier": pytest.approx(0.75 * 0.25**2 + 0.25 * 0.75**2),
    }
