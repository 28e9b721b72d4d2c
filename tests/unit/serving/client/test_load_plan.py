import argparse

import numpy as np
import pytest

from serving.client.load import flag_values as read
from serving.client.load.plan import Kind, Step, arrivals, kinds, steps
from serving.errors import InvalidInput


def rng(seed=1):
    return np.random.default_rng(seed)


def test_a_ramp_rises_evenly_from_the_first_rate_to_the_last():
    assert steps(100, 400, 4, 2.0) == [Step(float(rate), 2.0) for rate in (100, 200, 300, 400)]


@pytest.mark.parametrize(
    ("ramp", "named"),
    [((1, 2, 1, 1.0), "--steps"), ((1e6, 1e6, 1, 60.0), "--rate"), ((0.001, 0.001, 2, 80000.0), "--seconds")],
    ids=["ramp of one step", "more calls than memory holds", "more than a day"],
)
def test_a_ramp_that_cannot_be_is_refused_by_the_flags_name(ramp, named):
    with pytest.raises(InvalidInput, match=named):
        steps(*ramp)


def test_each_row_count_is_as_frequent_as_it_stands_in_the_list():
    assert kinds({"a": 3, "b": 1}, [1, 1, 1, 16]) == [
        Kind("a", 1, 0.5625),
        Kind("a", 16, 0.1875),
        Kind("b", 1, 0.1875),
        Kind("b", 16, 0.0625),
    ]


def test_gaps_between_arrivals_are_exponential():
    gaps = np.diff(arrivals(Step(1000, 30), [Kind("a", 1, 1.0)], rng()).at) * 1000
    assert np.mean(gaps) == pytest.approx(1, abs=0.03)
    assert np.std(gaps) == pytest.approx(1, abs=0.03)
    assert np.quantile(gaps, 0.5) == pytest.approx(np.log(2), abs=0.03)


def test_arrivals_are_as_many_as_the_rate_says_in_the_shares_of_the_mix_and_in_order():
    drawn = arrivals(Step(1000, 30), [Kind("a", 1, 0.75), Kind("b", 1, 0.25)], rng())
    assert len(drawn) == pytest.approx(30_000, rel=0.03)
    assert np.mean(drawn.kind) == pytest.approx(0.25, abs=0.01)
    assert (np.diff(drawn.at) >= 0).all()
    assert drawn.at.max() < 30


def test_one_seed_draws_the_same_load_twice():
    first, second = (arrivals(Step(50, 2), [Kind("a", 1, 1.0)], rng(7)).at for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (read.rate, "200", (200, 200)),
        (read.rate, "100..1000", (100, 1000)),
        (read.rows, "1,1,16", [1, 1, 16]),
        (read.weight, "pima=3", ("pima", 3)),
        (read.goodput, "90%", (0.9, True)),
        (read.goodput, "250", (250, False)),
        (read.count(0, 9), "0", 0),
        (read.above_zero, "0.5", 0.5),
    ],
    ids=["rate", "ramp", "rows", "weight", "share", "goodput", "count", "number"],
)
def test_the_text_of_a_flag_becomes_its_value(reader, text, value):
    assert reader(text) == value


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (read.rate, "0"),
        (read.rate, "100.."),
        (read.rate, "1..nan"),
        (read.rate, "1e9"),
        (read.rows, "1,,2"),
        (read.rows, "0"),
        (read.weight, "pima"),
        (read.weight, "=3"),
        (read.weight, "pima=0"),
        (read.goodput, "most"),
        (read.goodput, "inf"),
        (read.count(1, 9), "10"),
        (read.above_zero, "-1"),
    ],
)
def test_a_flag_of_another_form_is_told_what_came(reader, text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"came; .* expected"):
        reader(text)
