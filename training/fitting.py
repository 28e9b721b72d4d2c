"""The compiled training loop that the recipes share.

Owns the steps: shuffled order, batches, gradients, accuracy on the way, validation at each epoch's end. Does not know
which net it trains, nor where progress is shown. Keras' own `fit` goes through Python at each step, which for the
smallest nets takes 40 times the step.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.task import Dataset, FitOptions, FitState, History, Rows

EVALUATION_BATCH_ROWS = 500

Augment = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
"""Images [rows, height, width, channels] uint8 to as many changed ones; called anew each epoch."""


@dataclass(frozen=True)
class Drawn:
    """The rows of an epoch in its order: `truth` [rows] classes, `targets` what the loss compares the scores with."""

    inputs: NDArray[Any]
    truth: NDArray[np.int64]
    targets: NDArray[Any]


Draw = Callable[[Rows, np.random.Generator], Drawn]
"""Training rows to those of an epoch; called anew each epoch."""

Weights = list[NDArray[Any]]


@dataclass(frozen=True)
class FitPlan:
    """How a recipe fits. `optimizer(steps)` is made for so many steps in all.

    `jit_compile`: by XLA; as fast or faster for small batch-normalised nets, five times slower for the shapes net.
    `keep_best`: end with the weights of the epoch with the lowest validation loss. `averaged_epochs`: end with the mean
    of the weights as so many last epochs left them (Izmailov et al., arXiv:1803.05407). `whole_epochs`: compile an
    epoch into one function, for nets whose step is shorter than a call from Python.
    """

    optimizer: Callable[[int], keras.optimizers.Optimizer]
    loss: Callable[[Any, Any], Any]
    batch_rows: int
    augment: Augment | None = None
    jit_compile: bool = True
    keep_best: bool = False
    averaged_epochs: int = 0
    whole_epochs: bool = False


def fit(model: keras.Model, dataset: Dataset, options: FitOptions, plan: FitPlan, draw: Draw | None = None) -> History:
    """Train `model` in place for `options.epochs` epochs; give loss and accuracy of each, on train and validation.

    `draw` gives an epoch's rows; without it they are shuffled and augmented as `plan` says, and the truth is learned.
    """
    train = dataset.train
    steps = -(-len(train) // plan.batch_rows)
    optimizer = plan.optimizer(steps * options.epochs)
    optimizer.build(model.trainable_variables)
    step = _compiled_step(model, optimizer, plan)
    run_epoch = (
        _compiled_epoch(step, train, plan)
        if plan.whole_epochs
        else _stepwise_epoch(step, train, plan, options, draw or partial(_shuffled, plan=plan, options=options))
    )
    generator = np.random.default_rng(options.seed)
    history: History = {}
    best: Weights = []
    summed: Weights = []
    if options.resumed:
        best, summed = _restore(options.resumed, model, optimizer, generator, history)
    for epoch in range(len(history.get("loss", ())) + 1, options.epochs + 1):
        loss, right = run_epoch(generator)
        figures = {"loss": loss / len(train), "accuracy": right / len(train)}
        if len(dataset.validation):
            val_loss, val_accuracy = measure(model, dataset.validation, plan.loss)
            figures |= {"val_loss": val_loss, "val_accuracy": val_accuracy}
        for name, value in figures.items():
            history.setdefault(name, []).append(value)
        if plan.keep_best and history["val_loss"][-1] == min(history["val_loss"]):
            best = model.get_weights()
        if epoch > options.epochs - plan.averaged_epochs:
            summed = _sums(summed, model.get_weights())
        options.on_epoch(epoch, options.epochs, figures)
        options.on_state(epoch, partial(_state, epoch, model, optimizer, generator, history, best, summed))
    if plan.keep_best:
        model.set_weights(best)
    elif plan.averaged_epochs:
        model.set_weights([weights / min(plan.averaged_epochs, options.epochs) for weights in summed])
    return history


def _sums(before: Weights, weights: Weights) -> Weights:
    return [left + right for left, right in zip(before, weights, strict=True)] if before else weights


def _state(
    epoch: int,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    generator: np.random.Generator,
    history: History,
    best: Weights,
    summed: Weights,
) -> FitState:
    arrays = {
        # Not the weights alone: the variables of dropout's seed generators are among them.
        "model": [variable.numpy() for variable in model.variables],
        "optimizer": [variable.numpy() for variable in optimizer.variables],
        "best": best,
        "summed": summed,
    }
    return FitState(epoch, history, arrays, generator.bit_generator.state)


def _restore(
    state: FitState,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    generator: np.random.Generator,
    history: History,
) -> tuple[Weights, Weights]:
    """Put everything back as `state` has it; give the best weights so far, and the sum of those to average."""
    for variables, name in ((model.variables, "model"), (optimizer.variables, "optimizer")):
        for variable, value in zip(variables, state.arrays[name], strict=True):
            variable.assign(value)
    generator.bit_generator.state = state.generator
    history.update({name: list(values) for name, values in state.history.items()})
    return list(state.arrays["best"]), list(state.arrays["summed"])


def measure(model: keras.Model, rows: Rows, loss: Callable[[Any, Any], Any]) -> tuple[float, float]:
    """Mean loss and accuracy of `model` on `rows`."""
    scores = predict(model, rows.inputs)
    truth = tf.constant(rows.truth)
    return float(tf.reduce_mean(loss(truth, tf.constant(scores)))), float(np.mean(decide(scores) == rows.truth))


def predict(model: keras.Model, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """The outputs of `model` for `inputs`, [rows, classes or 1], by batches."""
    parts = [
        np.asarray(model(tf.constant(inputs[start : start + EVALUATION_BATCH_ROWS]), training=False))
        for start in range(0, len(inputs), EVALUATION_BATCH_ROWS)
    ]
    return np.concatenate(parts)


def decide(scores: NDArray[np.float32], threshold: float = 0.5) -> NDArray[np.int64]:
    """The class of each row of `scores`: of one column, 1 from `threshold` on; of several, the largest."""
    if scores.shape[1] == 1:
        return np.asarray(scores[:, 0] >= threshold, np.int64)
    return np.asarray(np.argmax(scores, axis=1), np.int64)


def _compiled_step(model: keras.Model, optimizer: keras.optimizers.Optimizer, plan: FitPlan) -> Callable[..., Any]:
    """One step on (inputs, truth, targets): gives the sum of the losses and the number of right answers."""

    def step(inputs: Any, truth: Any, targets: Any) -> tuple[Any, Any]:  # noqa: ANN401 - tensors
        with tf.GradientTape() as tape:
            scores = model(inputs, training=True)
            losses = plan.loss(targets, scores)
            mean = tf.reduce_mean(losses)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(mean, variables), variables)
        decided = scores[:, 0] >= 0.5 if scores.shape[1] == 1 else tf.argmax(scores, axis=1)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(tf.cast(decided, tf.int64) == truth, tf.int64))

    compiled: Callable[..., Any] = tf.function(
        step, jit_compile=plan.jit_compile, reduce_retracing=not plan.jit_compile
    )
    return compiled


def _compiled_epoch(step: Callable[..., Any], train: Rows, plan: FitPlan) -> Callable[[np.random.Generator], Any]:
    """All steps of an epoch in one function of the shuffled order."""
    inputs, truth = tf.constant(train.inputs), tf.constant(train.truth)

    @tf.function(jit_compile=plan.jit_compile)  # type: ignore[untyped-decorator]
    def epoch(order: Any) -> tuple[Any, Any]:  # noqa: ANN401 - a tensor
        sums = []
        for start in range(0, len(train), plan.batch_rows):
            index = order[start : start + plan.batch_rows]
            chosen = tf.gather(truth, index)
            sums.append(step(tf.gather(inputs, index), chosen, chosen))
        losses, right = zip(*sums, strict=True)
        return tf.add_n(losses), tf.add_n(right)

    def run(generator: np.random.Generator) -> tuple[float, int]:
        loss, right = epoch(tf.constant(generator.permutation(len(train))))
        return float(loss), int(right)

    return run


def _stepwise_epoch(
    step: Callable[..., Any], train: Rows, plan: FitPlan, options: FitOptions, draw: Draw
) -> Callable[[np.random.Generator], Any]:
    """An epoch of compiled steps, its rows drawn before it begins."""

    def run(generator: np.random.Generator) -> tuple[float, int]:
        drawn = draw(train, generator)
        sums = []
        for start in range(0, len(train), plan.batch_rows):
            part = slice(start, min(start + plan.batch_rows, len(train)))
            sums.append(step(*(tf.constant(array[part]) for array in (drawn.inputs, drawn.truth, drawn.targets))))
            options.on_rows(part.stop - start)
        return sum(float(loss) for loss, _ in sums), sum(int(right) for _, right in sums)

    return run


def _shuffled(train: Rows, generator: np.random.Generator, plan: FitPlan, options: FitOptions) -> Drawn:
    rows = train.take(generator.permutation(len(train)))
    inputs = rows.inputs
    if plan.augment:
        clock = time.perf_counter()
        inputs = plan.augment(inputs, generator)
        options.on_augment(time.perf_counter() - clock)
    return Drawn(inputs, rows.truth, rows.truth)
