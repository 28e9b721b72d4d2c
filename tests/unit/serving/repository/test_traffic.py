"""Labels name versions, and a split shares requests out among labels, steadily for what has a key."""

import math
from collections import Counter

import pytest

from serving.errors import InvalidInput, ModelBroken, ModelNotFound
from serving.repository.traffic import Traffic

REQUESTS = 10_000
CANARY = Traffic({"stable": 2, "canary": 3}, {"canary": 10})


def spread(percent: float) -> float:
    """Three standard deviations of how many of REQUESTS such a share gets."""
    return 3 * math.sqrt(REQUESTS * percent / 100 * (1 - percent / 100))


@pytest.mark.parametrize("key", ["", "user-{}"], ids=["by chance", "by key"])
def test_a_tenth_of_ten_thousand_requests_goes_to_the_canary(key):
    chosen = Counter(CANARY.chosen("shapes", key.format(number)) for number in range(REQUESTS))
    assert set(chosen) == {3, None}
    assert abs(chosen[3] - REQUESTS / 10) <= spread(10)


def test_shares_that_are_the_whole_leave_no_rest():
    traffic = Traffic({"a": 1, "b": 2}, {"a": 25, "b": 75})
    chosen = Counter(traffic.chosen("shapes", f"user-{number}") for number in range(REQUESTS))
    assert set(chosen) == {1, 2}
    assert abs(chosen[1] - REQUESTS / 4) <= spread(25)


def test_a_key_goes_to_the_same_version_always():
    assert {CANARY.chosen("shapes", "user-7") for _ in range(100)} == {CANARY.chosen("shapes", "user-7")}


def test_whoever_had_the_canary_keeps_it_when_its_share_grows():
    more = Traffic(CANARY.labels, {"canary": 20})
    keys = [f"user-{number}" for number in range(1000)]
    had = {key for key in keys if CANARY.chosen("shapes", key) == 3}
    assert had
    assert had < {key for key in keys if more.chosen("shapes", key) == 3}


def test_the_canaries_of_two_models_do_not_get_the_same_keys():
    keys = [f"user-{number}" for number in range(1000)]
    one, other = ({key for key in keys if CANARY.chosen(model, key) == 3} for model in ("shapes", "pima"))
    assert len(one & other) < len(one) / 2


@pytest.mark.parametrize(
    ("split", "ready", "default"),
    [
        ({}, {2, 3}, 3),
        ({"canary": 10}, {2, 3}, 2),
        ({"canary": 10}, {2, 3, 4}, 4),
        ({"canary": 10}, {3}, 3),
        ({"stable": 90, "canary": 10}, {2, 3, 4}, 2),
        ({"stable": 100}, {2, 3}, 2),
        ({"stable": 100}, {3}, 3),
        ({"canary": 10}, set(), None),
    ],
)
def test_the_rest_goes_to_the_highest_ready_version_that_the_split_does_not_name(split, ready, default):
    assert Traffic(CANARY.labels, split).default(ready) == default


def test_a_label_is_moved_and_removed():
    moved = CANARY.with_label("stable", 3)
    assert moved.labels_of(3) == ["canary", "stable"]
    assert moved.version("shapes", "stable") == 3
    assert Traffic({"stable": 2}).without_label("shapes", "stable") == Traffic()


def test_a_label_that_has_requests_is_not_removed():
    with pytest.raises(ModelBroken, match="label canary has 10 % of the requests to shapes"):
        CANARY.without_label("shapes", "canary")


def test_an_unknown_label_is_told_with_those_that_are_there():
    with pytest.raises(ModelNotFound, match=r"^model shapes has no version label 'next'; it has canary, stable$"):
        CANARY.version("shapes", "next")


@pytest.mark.parametrize("label", ["", "a b", "stable-1", "x" * 65, "ä"])
def test_what_is_no_label_is_refused(label):
    with pytest.raises(InvalidInput, match="is no version label; 1 to 64 letters"):
        Traffic().with_label(label, 1)


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ({"canary": -1}, "canary=-1 came; 0 to 100 percent was expected"),
        ({"canary": 101}, "canary=101 came; 0 to 100"),
        ({"canary": math.nan}, "canary=nan came; 0 to 100"),
        ({"canary": 60, "stable": 50}, "110 percent came in all; at most 100 was expected"),
    ],
)
def test_what_is_no_split_is_refused(split, text):
    with pytest.raises(InvalidInput, match=text):
        CANARY.divided("shapes", split)


def test_a_split_names_labels_that_are_there():
    with pytest.raises(ModelNotFound, match="no version label 'next'"):
        CANARY.divided("shapes", {"next": 10})
