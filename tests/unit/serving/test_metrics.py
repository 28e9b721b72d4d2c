"""Metrics explain themselves, start at 100 microseconds, and never grow by what callers send."""

import threading
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.exposition import generate_latest

from serving.metrics import LoadFigures, Metrics

CPU = "CPUExecutionProvider"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def ours(metrics: Metrics) -> Iterator[Metric]:
    return (family for family in metrics.registry.collect() if family.name.startswith("signet_"))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def serve_one_version(metrics: Metrics, model: str = "letters", version: str = "1") -> None:
    metrics.set_state(model, version, "LOADING")
    metrics.observe_load(model, version, LoadFigures(0.2, CPU, 2, 4096, golden=(1e-6, 1e-5)))
    metrics.queue(model, version).queue_rows.set(3)
    metrics.set_state(model, version, "READY")


def test_every_metric_has_a_help_that_is_a_sentence(metrics):
    families = list(ours(metrics))
    assert families
    assert [family.name for family in families if not family.documentation.endswith(".")] == []


def test_every_time_names_its_unit_in_name_and_help(metrics):
    times = [family for family in ours(metrics) if family.documentation.startswith("Time ")]
    assert times
    assert all(family.name.endswith("_seconds") and "in seconds" in family.documentation for family in times)


def test_lost_traces_are_asked_of_who_traces(metrics):
    assert metrics.registry.get_sample_value("signet_traces_lost_total") == 0
    metrics.lost_traces = lambda: 3
    assert metrics.registry.get_sample_value("signet_traces_lost_total") == 3


def test_every_row_count_names_rows(metrics):
    counted = {family.name for family in ours(metrics) if family.documentation.startswith("Rows")}
    assert counted == {
        "signet_batch_rows",
        "signet_queue_rows",
        "signet_queue_rows_limit",
        "signet_rows",
        "signet_predictions",
    }


def test_the_metrics_are_these_and_of_these_kinds(metrics):
    families = {family.name: family for family in ours(metrics)}
    assert {name: family.type for name, family in families.items()} == {
        "signet_batch_rows": "histogram",
        "signet_build": "info",
        "signet_golden_difference": "gauge",
        "signet_golden_tolerance": "gauge",
        "signet_load_seconds": "histogram",
        "signet_log_lines_dropped": "counter",
        "signet_model_intra_op_threads": "gauge",
        "signet_model_load_seconds": "gauge",
        "signet_model_provider": "gauge",
        "signet_model_state": "gauge",
        "signet_predictions": "counter",
        "signet_queue_rows": "gauge",
        "signet_queue_rows_limit": "gauge",
        "signet_queue_seconds": "histogram",
        "signet_refusals": "counter",
        "signet_request_seconds": "histogram",
        "signet_requests_in_flight": "gauge",
        "signet_rows": "counter",
        "signet_run_seconds": "histogram",
        "signet_split_runs": "counter",
        "signet_traces_lost": "counter",
        "signet_traffic_percent": "gauge",
        "signet_version_label": "gauge",
    }


def test_the_threads_of_the_process_are_counted(metrics):
    before = value(metrics, "process_threads") or 0
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    during = value(metrics, "process_threads")
    ended.set()
    thread.join()
    assert during == before + 1


def test_the_processs_own_figures_are_on_the_same_page(metrics):
    assert b"process_resident_memory_bytes" in generate_latest(metrics.registry)


@pytest.mark.parametrize("name", ["signet_request_seconds", "signet_queue_seconds", "signet_run_seconds"])
def test_latency_buckets_start_at_100_microseconds_and_rise(metrics, name):
    metrics.observe_request("letters", "1", "Predict", "OK", 0.00005)
    queue = metrics.queue("letters", "1")
    queue.queue_seconds.observe(0.00005)
    queue.run_seconds.observe(0.00005)
    (family,) = [family for family in ours(metrics) if family.name == name]
    buckets = [(float(one.labels["le"]), one.value) for one in family.samples if one.name.endswith("_bucket")]
    assert buckets[0] == (0.0001, 1)
    assert buckets[-2][0] == 10
    assert buckets == sorted(buckets)


def test_a_request_is_counted_by_model_version_method_and_status(metrics):
    for _ in range(2):
        metrics.observe_request("letters", "1", "Predict", "OK", 0.25)
    labels = {"model": "letters", "version": "1", "method": "Predict", "code": "OK"}
    assert value(metrics, "signet_request_seconds_count", **labels) == 2
    assert value(metrics, "signet_request_seconds_sum", **labels) == 0.5


def test_a_refusal_is_counted_by_its_reason(metrics):
    metrics.count_refusal("letters", "1", "Overloaded")
    assert value(metrics, "signet_refusals_total", model="letters", version="1", reason="Overloaded") == 1


def test_predictions_are_counted_by_label(metrics):
    metrics.count_predictions("letters", "1", {"a": 3})
    metrics.count_predictions("letters", "1", {"a": 1, "b": 2})
    assert value(metrics, "signet_predictions_total", model="letters", version="1", label="a") == 4
    assert value(metrics, "signet_predictions_total", model="letters", version="1", label="b") == 2


def test_a_version_is_in_one_state(metrics):
    metrics.set_state("letters", "1", "LOADING")
    metrics.set_state("letters", "1", "READY")
    states = {
        state: value(metrics, "signet_model_state", model="letters", version="1", state=state)
        for state in ("LOADING", "READY", "UNLOADING", "FAILED")
    }
    assert states == {"LOADING": 0, "READY": 1, "UNLOADING": 0, "FAILED": 0}


def test_labels_and_the_split_are_those_set_last(metrics):
    metrics.set_traffic("letters", {"stable": 1, "canary": 2}, {"canary": 10.0})
    metrics.set_traffic("sums", {"stable": 4}, {})
    metrics.set_traffic("letters", {"canary": 3}, {"canary": 20.0})
    assert value(metrics, "signet_version_label", model="letters", version="3", label="canary") == 1
    assert value(metrics, "signet_version_label", model="letters", version="2", label="canary") is None
    assert value(metrics, "signet_version_label", model="letters", version="1", label="stable") is None
    assert value(metrics, "signet_version_label", model="sums", version="4", label="stable") == 1
    assert value(metrics, "signet_traffic_percent", model="letters", label="canary") == 20


def test_a_golden_check_shows_what_it_saw_and_what_it_allows_and_none_shows_nothing(metrics):
    serve_one_version(metrics)
    metrics.observe_load("letters", "2", LoadFigures(0.2, CPU, 2, 4096))
    assert value(metrics, "signet_golden_difference", model="letters", version="1") == 1e-6
    assert value(metrics, "signet_golden_tolerance", model="letters", version="1") == 1e-5
    assert value(metrics, "signet_golden_tolerance", model="letters", version="2") is None


def test_a_load_shows_its_time_provider_threads_and_queue(metrics):
    serve_one_version(metrics)
    assert value(metrics, "signet_load_seconds_sum", model="letters") == 0.2
    assert value(metrics, "signet_model_load_seconds", model="letters", version="1") == 0.2
    assert value(metrics, "signet_queue_rows_limit", model="letters", version="1") == 4096
    assert value(metrics, "signet_model_provider", model="letters", version="1", provider=CPU) == 1
    assert value(metrics, "signet_model_intra_op_threads", model="letters", version="1") == 2


def gauges(metrics: Metrics) -> set[tuple[str, str]]:
    return {
        (sample.labels["model"], sample.labels["version"])
        for family in ours(metrics)
        if family.type == "gauge"
        for sample in family.samples
        if "version" in sample.labels
    }


def test_the_gauges_of_a_version_that_is_gone_go_and_those_of_others_stay(metrics):
    serve_one_version(metrics, version="1")
    serve_one_version(metrics, version="2")
    metrics.set_state("letters", "1", "GONE")
    assert gauges(metrics) == {("letters", "2")}


def serve_and_count(metrics: Metrics, version: str) -> None:
    serve_one_version(metrics, version=version)
    metrics.observe_request("letters", version, "Predict", "OK", 0.1)
    metrics.count_refusal("letters", version, "InvalidInput")
    metrics.count_predictions("letters", version, {"a": 1})


def versions_shown(metrics: Metrics) -> set[str]:
    samples = (sample for family in ours(metrics) for sample in family.samples)
    return {sample.labels["version"] for sample in samples if "model" in sample.labels and "version" in sample.labels}


def test_no_series_of_a_version_that_is_gone_stays_nor_comes_back_with_its_last_requests(metrics):
    serve_and_count(metrics, "1")
    serve_and_count(metrics, "2")
    metrics.set_state("letters", "1", "GONE")
    assert versions_shown(metrics) == {"2"}
    metrics.observe_request("letters", "1", "Predict", "OK", 0.1)
    metrics.count_refusal("letters", "1", "InvalidInput")
    metrics.count_predictions("letters", "1", {"a": 1})
    assert versions_shown(metrics) == {"2"}


def test_a_version_that_comes_back_counts_from_nothing(metrics):
    serve_and_count(metrics, "1")
    metrics.set_state("letters", "1", "GONE")
    serve_and_count(metrics, "1")
    assert value(metrics, "signet_predictions_total", model="letters", version="1", label="a") == 1


def test_a_version_that_failed_to_load_can_go_too(metrics):
    metrics.set_state("letters", "1", "LOADING")
    metrics.set_state("letters", "1", "FAILED")
    assert value(metrics, "signet_model_state", model="letters", version="1", state="FAILED") == 1
    metrics.set_state("letters", "1", "GONE")
    assert gauges(metrics) == set()


def test_a_version_that_comes_back_shows_its_gauges_again(metrics):
    serve_one_version(metrics)
    metrics.set_state("letters", "1", "GONE")
    serve_one_version(metrics)
    assert value(metrics, "signet_model_state", model="letters", version="1", state="READY") == 1
    assert value(metrics, "signet_queue_rows", model="letters", version="1") == 3


def test_label_names_are_those_of_bounded_sets_alone(metrics):
    serve_one_version(metrics)
    metrics.observe_request("letters", "1", "Predict", "OK", 0.1)
    metrics.count_refusal("letters", "1", "InvalidInput")
    metrics.count_predictions("letters", "1", {"a": 1})
    names = {name for family in ours(metrics) for sample in family.samples for name in sample.labels}
    assert names == {"model", "version", "method", "code", "reason", "label", "state", "provider", "le"}


def test_two_servers_of_a_process_do_not_share_figures(metrics):
    other = Metrics()
    metrics.observe_request("letters", "1", "Predict", "OK", 0.1)
    assert not [sample for family in ours(other) for sample in family.samples if "request_seconds_count" in sample.name]


def test_the_build_is_named_by_its_version(metrics):
    (family,) = [family for family in ours(metrics) if family.name == "signet_build"]
    assert family.samples[0].labels["version"].count(".") == 2


def test_the_requests_and_waits_of_one_version_can_be_read(metrics):
    metrics.observe_request("letters", "1", "Predict", "OK", 0.5)
    metrics.observe_request("letters", "1", "Predict", "OK", 0.25)
    metrics.observe_request("letters", "1", "Predict", "INVALID_ARGUMENT", 0.125)
    metrics.observe_request("letters", "2", "Predict", "OK", 9)
    metrics.queue("letters", "1").queue_seconds.observe(2)
    assert metrics.requests("letters", "1") == [
        ("Predict", "OK", 2, 0.75),
        ("Predict", "INVALID_ARGUMENT", 1, 0.125),
    ]
    assert metrics.waits("letters", "1") == (1, 2.0)
    assert (metrics.requests("letters", "3"), metrics.waits("letters", "3")) == ([], (0, 0.0))


def test_dropped_log_lines_are_asked_for_at_each_scrape():
    figures = iter(range(10))
    metrics = Metrics(lambda: next(figures))
    first, second = (metrics.registry.get_sample_value("signet_log_lines_dropped_total") for _ in range(2))
    assert first is not None
    assert second == first + 1
