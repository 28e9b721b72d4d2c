import numpy as np

from training.row_choice import spread_rows


def test_spread_rows_takes_from_the_classes_in_turn():
    assert spread_rows(np.array([0, 0, 0, 0, 2, 1, 0, 2]), 5).tolist() == [0, 1, 4, 5, 7]


def test_spread_rows_gives_all_rows_where_there_are_fewer():
    assert spread_rows(np.array([1, 1, 0]), 16).tolist() == [0, 1, 2]
