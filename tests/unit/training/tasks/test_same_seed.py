import numpy as np
import pytest

from training.seeding import seed_everything
from training.task import Dataset, FitOptions, Rows
from training.tasks import TASKS

# The kernels of each recipe in its own loop: convolutions with XLA and without it, whole epochs of a small net.
RECIPES = [("pima", "seed"), ("shapes", "seed"), ("shapes", "augmented"), ("fashion_mnist", "quick")]


def noise(task: str) -> Dataset:
    """256 rows of noise in the shape and dtype that the task's model takes."""
    generator = np.random.default_rng(0)
    shape = {"pima": (256, 8), "shapes": (256, 24, 24, 3), "fashion_mnist": (256, 28, 28, 1)}[task]
    classes = {"pima": 2, "shapes": 3, "fashion_mnist": 10}[task]
    values = generator.integers(0, 255, shape)
    rows = Rows(values.astype(np.float32 if task == "pima" else np.uint8), generator.integers(0, classes, 256))
    return Dataset(rows, rows.take(slice(0, 0)), rows, {str(index): index for index in range(classes)}, "noise")


def trained_weights(task: str, recipe: str) -> bytes:
    how = TASKS[task].recipes[recipe]
    seed_everything(1)
    dataset = noise(task)
    model = how.build(dataset)
    how.fit(model, dataset, FitOptions(1, 1, lambda *_: None, lambda _: None))
    return b"".join(weights.tobytes() for weights in model.get_weights())


@pytest.mark.parametrize(("task", "recipe"), RECIPES, ids=[" ".join(names) for names in RECIPES])
def test_a_recipe_run_twice_with_one_seed_ends_in_bit_equal_weights(task, recipe):
    assert trained_weights(task, recipe) == trained_weights(task, recipe)
