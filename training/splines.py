"""A logistic regression on hinges, whose preprocessing is part of the net.

Owns the net (missing values replaced, scaled, bent at quantiles, weighed) and its exact fit. Does not know which table.
An additive model of bent lines: Friedman, "Multivariate Adaptive Regression Splines", 1991, with fixed knots.
"""

import keras
import numpy as np
from numpy.typing import NDArray

from training.task import Dataset, FitOptions, History

KNOT_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
PENALTY = 2.0
"""On half the squared weights, beside the summed loss."""

BASIS = "basis"


def build_hinges(dataset: Dataset, missing_if_zero: NDArray[np.bool_]) -> keras.Model:
    """The untrained net: its medians, scales and knots are those of the training rows.

    `missing_if_zero` [features]: where a 0 stands for a value that was not taken; such values become the median.
    """
    train = dataset.train.inputs.astype(np.float64)
    taken = np.where(missing_if_zero & (train == 0), np.nan, train)
    medians = np.nanmedian(taken, axis=0)
    filled = np.where(np.isnan(taken), medians, train)
    mean, deviation = filled.mean(axis=0), filled.std(axis=0)
    knots = np.quantile((filled - mean) / deviation, KNOT_QUANTILES, axis=0)

    features = keras.Input((train.shape[1],), name="features")
    is_missing = keras.ops.logical_and(keras.ops.equal(features, 0.0), missing_if_zero)
    present = keras.ops.where(is_missing, medians.astype(np.float32), features)
    scaled = (present - mean.astype(np.float32)) / deviation.astype(np.float32)
    hinges = [keras.ops.relu(scaled - knot.astype(np.float32)) for knot in knots]
    basis = keras.layers.Concatenate(name=BASIS)([scaled, *hinges])
    return keras.Model(features, keras.layers.Dense(1, activation="sigmoid", name="probability")(basis))


def fit_exactly(model: keras.Model, dataset: Dataset, options: FitOptions) -> History:
    """Set the last layer to the one optimum of the penalised log-loss, by Newton's method; an epoch is a step of it."""
    basis = keras.Model(model.input, model.get_layer(BASIS).output)
    design = np.asarray(basis(dataset.train.inputs), np.float64)
    design = np.concatenate([design, np.ones((len(design), 1))], axis=1)
    truth = dataset.train.truth
    penalty = np.full(design.shape[1], PENALTY)
    penalty[-1] = 0.0
    weights = np.zeros(design.shape[1])
    history: History = {"loss": [], "accuracy": []}
    for epoch in range(1, options.epochs + 1):
        probability = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (probability - truth) + penalty * weights
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + np.diag(penalty)
        weights -= np.linalg.solve(curvature, gradient)
        probability = 1 / (1 + np.exp(-design @ weights))
        figures = {
            "loss": float(-np.mean(np.log(np.where(truth == 1, probability, 1 - probability)))),
            "accuracy": float(np.mean((probability >= 0.5) == truth)),
        }
        for name, value in figures.items():
            history[name].append(value)
        options.on_epoch(epoch, options.epochs, figures)
    model.get_layer("probability").set_weights([weights[:-1, None].astype(np.float32), weights[-1:].astype(np.float32)])
    return history
