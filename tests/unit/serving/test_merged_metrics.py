"""The figures of several workers become one scrape that never goes backward."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from serving.merged_metrics import GAUGES, MergedMetrics
from serving.metrics import Metrics


def scrape(requests: int, state: str = "READY", version: str = "1", queue_rows: int = 0) -> str:
    """A worker's scrape after so many requests of 0.25 seconds."""
    metrics = Metrics()
    metrics.set_state("letters", version, state)
    metrics.queue("letters", version).queue_rows.set(queue_rows)
    for _ in range(requests):
        metrics.observe_request("letters", version, "Predict", "OK", 0.25)
    metrics.count_predictions("letters", version, {"a": requests})
    return generate_latest(metrics.registry).decode()


def value(merged: MergedMetrics, name: str, **labels: str) -> float | None:
    """The sample of the merged scrape with these labels at least; None if there is none, and never two."""
    found = [
        sample.value
        for family in merged.families()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.fixture
def merged() -> MergedMetrics:
    two = MergedMetrics()
    two.take("1", scrape(3, queue_rows=5))
    two.take("2", scrape(4, state="UNLOADING", queue_rows=7))
    return two


def test_counters_and_histograms_are_summed(merged):
    assert value(merged, "signet_predictions_total", label="a") == 7
    assert value(merged, "signet_request_seconds_count") == 7
    assert value(merged, "signet_request_seconds_sum") == 1.75
    assert value(merged, "signet_request_seconds_bucket", le="0.1") == 0
    assert value(merged, "signet_request_seconds_bucket", le="0.25") == 7


def test_waiting_rows_are_summed_and_states_are_those_of_any_worker(merged):
    assert value(merged, "signet_queue_rows", model="letters") == 12
    states = {state: value(merged, "signet_model_state", state=state) for state in ("READY", "UNLOADING", "FAILED")}
    assert states == {"READY": 1, "UNLOADING": 1, "FAILED": 0}
    assert value(merged, "signet_build_info") == 1


def test_figures_of_a_process_are_told_apart_by_worker(merged):
    for worker in ("1", "2"):
        assert value(merged, "process_cpu_seconds_total", worker=worker)


def test_a_newer_scrape_takes_the_place_of_the_last(merged):
    merged.take("1", scrape(10))
    assert value(merged, "signet_predictions_total") == 14
    assert value(merged, "signet_queue_rows") == 7


def test_what_a_worker_counted_stays_when_it_is_gone_and_adds_up_when_it_is_back(merged):
    merged.depart("1")
    assert value(merged, "signet_predictions_total") == 7
    merged.take("1", scrape(1))
    assert value(merged, "signet_predictions_total") == 8
    merged.depart("1")
    merged.depart("2")
    assert value(merged, "signet_request_seconds_bucket", le="0.25") == 8


def test_the_gauges_and_the_process_of_a_worker_that_is_gone_go(merged):
    merged.depart("1")
    assert value(merged, "signet_queue_rows") == 7
    assert value(merged, "process_cpu_seconds_total", worker="1") is None


def test_a_worker_that_never_answered_can_depart(merged):
    merged.depart("3")
    assert value(merged, "signet_predictions_total") == 7


def test_what_a_gone_worker_counted_of_a_version_goes_with_the_version(merged):
    merged.depart("1")
    merged.take("2", scrape(2, version="2"))
    assert value(merged, "signet_predictions_total", version="1") is None
    assert value(merged, "signet_predictions_total", version="2") == 2


def test_counts_without_a_version_stay():
    merged = MergedMetrics()
    metrics = Metrics()
    metrics.observe_request("", "", "Predict", "NOT_FOUND", 0.25)
    merged.take("1", generate_latest(metrics.registry).decode())
    merged.depart("1")
    merged.take("2", scrape(1))
    assert value(merged, "signet_request_seconds_count", code="NOT_FOUND") == 1


def test_the_merged_scrape_is_written_and_read_as_a_workers_is(merged):
    class Merged(Collector):
        def collect(self):
            return merged.families()

    registry = CollectorRegistry()
    registry.register(Merged())
    again = MergedMetrics()
    again.take("1", generate_latest(registry).decode())
    assert value(again, "signet_predictions_total") == 7
    assert value(again, "signet_request_seconds_count") == 7


def test_of_each_gauge_it_is_said_how_it_is_merged():
    gauges = {
        family.name + ("_info" if family.type == "info" else "")
        for family in Metrics().registry.collect()
        if family.type in {"gauge", "info"} and not family.name.startswith("process_")
    }
    assert gauges == set(GAUGES)
