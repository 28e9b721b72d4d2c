"""How well a recipe does on rows that it has not seen, when there are too few rows for one split to tell.

Owns repeated stratified k-fold cross-validation and its three figures. Does not know recipes: it is given functions.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from training.task import Rows

FOLDS = 10
REPEATS = 10

FitAndScore = Callable[[Rows, Rows], NDArray[np.float32]]
"""Fit on the first rows, score the second: [rows] or [rows, 1] probabilities of class 1."""


def cross_validate(rows: Rows, fit_and_score: FitAndScore, threshold: float, seed: int) -> dict[str, float]:
    """Mean accuracy, AUC and Brier score over 10 x 10 stratified folds of `rows`, two classes.

    Everything that is learnt from rows is learnt inside `fit_and_score`, so inside the fold. AUC is the probability
    that a positive row outscores a negative one (Hanley, McNeil, 1982); the Brier score is the mean squared error of
    the probability (Brier, 1950).
    """
    figures: list[list[float]] = []
    for held in stratified_folds(rows.truth, FOLDS, REPEATS, seed):
        kept = np.setdiff1d(np.arange(len(rows)), held)
        scores = fit_and_score(rows.take(kept), rows.take(held)).reshape(-1).astype(np.float64)
        truth = rows.truth[held]
        accuracy = np.mean((scores >= threshold) == truth)
        figures.append([float(accuracy), auc(scores, truth), float(np.mean((scores - truth) ** 2))])
    means = np.mean(figures, axis=0).tolist()
    return dict(zip(("cv_accuracy", "cv_auc", "cv_brier"), means, strict=True))


def stratified_folds(truth: NDArray[np.int64], folds: int, repeats: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """The held-out row numbers of each fold: each repeat deals out the rows of each class anew, one fold in turn."""
    generator = np.random.default_rng(seed)
    for _ in range(repeats):
        order = np.concatenate([generator.permutation(np.flatnonzero(truth == kind)) for kind in np.unique(truth)])
        for fold in range(folds):
            yield np.sort(order[fold::folds])


def auc(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Area under the ROC curve of `scores` [rows] for `truth` [rows] of 0 and 1; ties count half."""
    order = np.sort(scores)
    ranks = (np.searchsorted(order, scores, "left") + np.searchsorted(order, scores, "right") + 1) / 2
    positives = int(truth.sum())
    negatives = len(truth) - positives
    return float((ranks[truth == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))
