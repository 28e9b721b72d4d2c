from dataclasses import replace

import numpy as np
import pytest

from training.fitting import predict
from training.splines import PENALTY, build_hinges, fit_exactly
from training.task import FitOptions, Rows
from training.tasks import TASKS
from training.tasks.pima import ZERO_IS_MISSING, build_additive

OPTIONS = FitOptions(epochs=12, seed=1, on_epoch=lambda *_: None, on_rows=lambda _: None)


@pytest.fixture(scope="module")
def pima():
    return TASKS["pima"].load(None, 1)


@pytest.fixture(scope="module")
def fitted(pima):
    model = build_additive(pima)
    return model, fit_exactly(model, pima, OPTIONS)


def test_a_missing_value_counts_as_the_median_of_the_training_rows(pima, fitted):
    model, _ = fitted
    row = pima.test.inputs[:1].copy()
    column = 1
    row[0, column] = 0
    taken = pima.train.inputs[:, column]
    filled = row.copy()
    filled[0, column] = np.median(taken[taken > 0])
    assert predict(model, row) == pytest.approx(predict(model, filled), abs=1e-6)
    assert "glucose" in ZERO_IS_MISSING


def test_the_weights_are_the_optimum_of_the_penalised_loss(pima, fitted):
    model, history = fitted
    assert history["loss"][-1] == pytest.approx(history["loss"][-2], abs=1e-9)
    layer = model.get_layer("probability")
    weights, bias = layer.get_weights()

    def objective(changed: np.ndarray) -> float:
        layer.set_weights([changed, bias])
        scores = np.clip(predict(model, pima.train.inputs)[:, 0].astype(np.float64), 1e-9, 1 - 1e-9)
        losses = -np.log(np.where(pima.train.truth == 1, scores, 1 - scores)).sum()
        return float(losses + PENALTY / 2 * (changed.astype(np.float64) ** 2).sum())

    best = objective(weights)
    generator = np.random.default_rng(0)
    nudged = [objective(weights + generator.normal(0, 0.05, weights.shape).astype(np.float32)) for _ in range(5)]
    layer.set_weights([weights, bias])
    assert min(nudged) > best


def test_what_is_learnt_from_rows_is_learnt_from_the_training_rows_alone(pima):
    changed = replace(pima, test=Rows(pima.test.inputs * 100, 1 - pima.test.truth))
    models = [build_hinges(data, np.zeros(8, bool)) for data in (pima, changed)]
    for model, data in zip(models, (pima, changed), strict=True):
        fit_exactly(model, data, OPTIONS)
    first, second = (predict(model, pima.test.inputs) for model in models)
    assert first.tobytes() == second.tobytes()
