import numpy as np

from training.datasets.patterns import load_bars, load_numbers
from training.tasks import TASKS


def test_numbers_are_told_apart_by_a_rule_that_no_single_layer_knows():
    data = load_numbers(None, seed=1)
    x = data.test.inputs
    assert data.test.truth.tolist() == (x[:, 0] * x[:, 1] + x[:, 2] > x[:, 3]).astype(int).tolist()
    assert 0.4 < data.train.truth.mean() < 0.6


def test_a_bar_is_the_brightest_line_of_its_image():
    data = load_bars(None, seed=1)
    image = data.train.inputs[:, :, :, 0].astype(int)
    rows, columns = image.mean(axis=2).max(axis=1), image.mean(axis=1).max(axis=1)
    slanted = np.array([max(np.trace(np.roll(one, -shift, axis=1)) for shift in range(8)) / 8 for one in image])
    assert np.array_equal(np.argmax([rows, columns, slanted], axis=0), data.train.truth)


def test_the_smallest_nets_have_the_courses_numbers_of_parameters():
    recipes = TASKS["stacking"].recipes
    assert recipes["mlp"].build(load_numbers(None, 1)).count_params() == 101
    assert recipes["cnn"].build(load_bars(None, 1)).count_params() == 178
