import keras
import numpy as np
import pytest

from training.augment import flip
from training.fitting import FitPlan, decide, fit, measure, predict
from training.schedules import OneCycle
from training.seeding import seed_everything
from training.task import Dataset, FitOptions, Rows

LOSS = keras.losses.sparse_categorical_crossentropy


def blobs(rows: int = 90, validation: int = 30) -> Dataset:
    """Images that are brighter the higher their class, of three."""
    generator = np.random.default_rng(0)
    truth = np.arange(rows + validation, dtype=np.int64) % 3
    inputs = (truth[:, None, None, None] * 80 + generator.integers(0, 40, (rows + validation, 4, 4, 1))).astype(
        np.uint8
    )
    whole = Rows(inputs, truth)
    train, held = whole.take(slice(0, rows)), whole.take(slice(rows, None))
    return Dataset(train, held, held, {"a": 0, "b": 1, "c": 2}, "blobs")


def net() -> keras.Model:
    image = keras.Input((4, 4, 1), dtype="uint8")
    hidden = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    hidden = keras.layers.Dropout(0.1)(keras.layers.Dense(8, activation="relu")(hidden))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(hidden))


def plan(**changes) -> FitPlan:
    return FitPlan(**{"optimizer": lambda _: keras.optimizers.Adam(0.02), "loss": LOSS, "batch_rows": 32, **changes})


def trained(seed: int, plan: FitPlan, epochs: int = 4, dataset: Dataset | None = None, seen: list | None = None):
    seed_everything(seed)
    model = net()
    told = [] if seen is None else seen
    options = FitOptions(epochs, seed, lambda *ended: told.append(ended), told.append)
    return model, fit(model, dataset or blobs(), options, plan)


@pytest.mark.parametrize("whole_epochs", [False, True], ids=["step by step", "an epoch at once"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "XLA"])
def test_the_net_learns_and_tells_its_figures(whole_epochs, jit_compile):
    _, history = trained(1, plan(whole_epochs=whole_epochs, jit_compile=jit_compile), epochs=25)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(history["loss"]) == 25
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["val_accuracy"][-1] == 1.0


@pytest.mark.parametrize(
    "changes", [{}, {"augment": flip}, {"whole_epochs": True}], ids=["plain", "augmented", "whole epochs"]
)
def test_the_same_seed_gives_bit_equal_weights(changes):
    (once, _), (again, _), (other, _) = (trained(seed, plan(**changes)) for seed in (1, 1, 2))
    for left, right in zip(once.get_weights(), again.get_weights(), strict=True):
        assert left.tobytes() == right.tobytes()
    assert any(a.tobytes() != b.tobytes() for a, b in zip(once.get_weights(), other.get_weights(), strict=True))


def down_then_up(_: int) -> keras.optimizers.Optimizer:
    """Goes down the loss for three epochs of three steps, then up: the best epoch is the third."""
    return keras.optimizers.Adam(keras.optimizers.schedules.PiecewiseConstantDecay([8], [0.02, -0.05]))


class Stop(Exception):
    """What a stop in the middle of a fit looks like from inside."""


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": flip},
        {"whole_epochs": True},
        {"optimizer": lambda steps: keras.optimizers.SGD(OneCycle(0.2, steps), momentum=0.9), "jit_compile": False},
        {"optimizer": down_then_up, "keep_best": True, "jit_compile": False},
        {"averaged_epochs": 3, "jit_compile": False},
    ],
    ids=[
        "dropout and augmentation",
        "whole epochs",
        "a schedule over all steps",
        "the best epoch's weights",
        "the mean of the last weights",
    ],
)
def test_a_fit_that_goes_on_in_a_new_model_ends_as_if_it_had_not_stopped(changes):
    whole, whole_history = trained(1, plan(**changes), epochs=6)
    states = []

    def stop_after_four(epoch, state):
        states.append(state())
        if epoch == 4:
            raise Stop

    seed_everything(1)
    options = FitOptions(6, 1, lambda *_: None, lambda _: None, on_state=stop_after_four)
    with pytest.raises(Stop):
        fit(net(), blobs(), options, plan(**changes))
    assert [state.epoch for state in states] == [1, 2, 3, 4]

    seed_everything(99)
    model, told = net(), []
    options = FitOptions(6, 1, lambda epoch, *_: told.append(epoch), lambda _: None, resumed=states[-1])
    history = fit(model, blobs(), options, plan(**changes))
    assert told == [5, 6]
    assert history == whole_history
    if changes.get("keep_best"):
        assert int(np.argmin(history["val_loss"])) == 2
    for left, right in zip(whole.get_weights(), model.get_weights(), strict=True):
        assert left.tobytes() == right.tobytes()


def test_the_mean_of_the_last_weights_is_that_of_each_epochs_end():
    seen: list[list[np.ndarray]] = []
    seed_everything(1)
    model = net()
    options = FitOptions(
        4, 1, lambda *_: None, lambda _: None, on_state=lambda *_: seen.append([w.copy() for w in model.get_weights()])
    )
    fit(model, blobs(), options, plan(averaged_epochs=2, jit_compile=False))
    for mean, third, fourth in zip(model.get_weights(), *seen[2:], strict=True):
        assert mean == pytest.approx((third + fourth) / 2, rel=1e-6)


def test_the_time_to_augment_is_told():
    told: list[float] = []
    fit(net(), blobs(), FitOptions(3, 1, lambda *_: None, lambda _: None, told.append), plan(augment=flip))
    assert len(told) == 3
    assert all(seconds > 0 for seconds in told)


def test_without_validation_rows_there_are_no_validation_figures():
    _, history = trained(1, plan(), dataset=blobs(validation=0))
    assert set(history) == {"loss", "accuracy"}


def test_progress_is_told_by_rows_and_by_epochs():
    seen: list = []
    trained(1, plan(), epochs=2, seen=seen)
    assert [one for one in seen if isinstance(one, int)] == [32, 32, 26] * 2
    assert [one[:2] for one in seen if isinstance(one, tuple)] == [(1, 2), (2, 2)]


def test_the_measure_of_a_model_is_its_mean_loss_and_accuracy():
    model, _ = trained(1, plan(), epochs=25)
    rows = blobs().validation
    loss, accuracy = measure(model, rows, LOSS)
    scores = predict(model, rows.inputs)
    assert loss == pytest.approx(-np.log(scores[np.arange(len(rows)), rows.truth]).mean(), rel=1e-5)
    assert accuracy == 1.0


def test_one_column_is_decided_at_a_half_and_several_by_the_largest():
    assert decide(np.array([[0.5], [0.49]], np.float32)).tolist() == [1, 0]
    assert decide(np.array([[0.2, 0.5, 0.3]], np.float32)).tolist() == [1]


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing():
    schedule = OneCycle(0.2, steps=10, warm_up=0.2)
    rates = [float(schedule(step)) for step in range(10)]
    assert rates[1] == pytest.approx(0.2)
    assert rates == sorted(rates[:2]) + sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0.0)


def test_flipping_mirrors_some_images_and_changes_no_pixel():
    images = np.random.default_rng(0).integers(0, 255, (50, 3, 3, 1), dtype=np.uint8)
    flipped = flip(images, np.random.default_rng(1))
    mirrored = [np.array_equal(now, was[:, ::-1]) for now, was in zip(flipped, images, strict=True)]
    same = [np.array_equal(now, was) for now, was in zip(flipped, images, strict=True)]
    assert all(m or s for m, s in zip(mirrored, same, strict=True))
    assert 10 < sum(mirrored) < 40
