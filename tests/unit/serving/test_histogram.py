"""A histogram is scraped as prometheus_client's own would be, and loses nothing of what several threads observe."""

import time
from concurrent.futures import ThreadPoolExecutor

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from serving.histogram import Histogram

BOUNDS = (0.0001, 0.5, 1, 2.5)
NAMES = ("model", "version")


def histogram(registry: CollectorRegistry | None = None) -> Histogram:
    return Histogram("signet_tries", "Tries, in seconds.", NAMES, BOUNDS, registry or CollectorRegistry())


def test_the_scrape_is_that_of_prometheus_clients_histogram():
    disable_created_metrics()
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    one = histogram(ours)
    other = prometheus_client.Histogram("signet_tries", "Tries, in seconds.", NAMES, buckets=BOUNDS, registry=theirs)
    for version, values in (("1", (0.0, 0.0001, 0.00011, 0.5, 0.7, 2.5, 2.6, 1e9)), ("2", ())):
        for value in values:
            one.labels('a "b"', version).observe(value)
            other.labels('a "b"', version).observe(value)
    assert generate_latest(ours) == generate_latest(theirs)
    one.labels("c", "1")
    other.labels("c", "1")
    assert generate_latest(ours) == generate_latest(theirs)


class LetsOthersIn(float):
    """A value during whose addition, between the reading of a sum and its writing, other threads run."""

    def __radd__(self, other: float) -> float:
        time.sleep(0)
        return other + float(self)


def test_nothing_is_lost_of_what_several_threads_observe():
    tried = histogram().labels("letters", "1")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(tried.observe, [LetsOthersIn(0.25)] * 2_000))
    assert tried.read() == ([0, 2_000, 2_000, 2_000, 2_000], 500.0)


def test_the_series_of_given_labels_can_be_read_and_removed():
    tries = histogram()
    for model, version, seconds in (
        ("letters", "1", 0.5),
        ("letters", "1", 2.0),
        ("letters", "2", 1.0),
        ("sums", "1", 9.0),
    ):
        tries.labels(model, version).observe(seconds)
    assert tries.read({"model": "letters"}) == [
        ({"model": "letters", "version": "1"}, 2, 2.5),
        ({"model": "letters", "version": "2"}, 1, 1.0),
    ]
    tries.remove_by_labels({"model": "letters", "version": "1"})
    assert [labels["version"] for labels, _, _ in tries.read({"model": "letters"})] == ["2"]
    assert len(tries.read({})) == 2


def test_a_name_is_taken_once():
    registry = CollectorRegistry()
    histogram(registry)
    with pytest.raises(ValueError, match="signet_tries"):
        histogram(registry)


def test_labels_that_are_too_few_are_refused():
    with pytest.raises(ValueError, match="values of"):
        histogram().labels("letters")
