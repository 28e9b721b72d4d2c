"""What happened can be read at GET /metrics, failures included, and no caller can make the scrape grow."""

from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from protos.signet.v1.prediction_pb2 import PredictRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import shades, status_of
from tests.running_server import running_server

EXPECTED = {
    "signet_request_seconds": "histogram",
    "signet_requests_in_flight": "gauge",
    "signet_refusals": "counter",
    "signet_queue_seconds": "histogram",
    "signet_run_seconds": "histogram",
    "signet_batch_rows": "histogram",
    "signet_queue_rows": "gauge",
    "signet_rows": "counter",
    "signet_split_runs": "counter",
    "signet_predictions": "counter",
    "signet_model_state": "gauge",
    "signet_load_seconds": "histogram",
    "signet_model_provider": "gauge",
    "signet_model_intra_op_threads": "gauge",
    "signet_build": "gauge",
    "process_resident_memory_bytes": "gauge",
}


@pytest.fixture(scope="module")
def scrape(tmp_path_factory):
    """The scrape, by metric, after two good requests of three rows, one bad, and one for a model that is not there."""
    root = tmp_path_factory.mktemp("repository")
    tiny.put_shades(root)
    with running_server(root) as server:
        connection = connect(server)
        connection.prediction.Predict(shades(0, 255))
        connection.prediction.Predict(shades(0))
        status_of(connection.prediction.Predict, PredictRequest(model="shades", images=[b"no image"]))
        status_of(connection.prediction.Predict, PredictRequest(model="wrong-name"))
        with urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=10) as response:
            text = response.read().decode()
        connection.channel.close()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(family, **labels) -> float:
    return next(
        one.value for one in family.samples if labels.items() <= one.labels.items() and "bucket" not in one.name
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_each_metric_has_its_type_and_help(scrape, name):
    family = scrape[name] if name != "signet_build" else scrape["signet_build_info"]
    assert family.type == EXPECTED[name]
    assert family.documentation.endswith(".")


def test_latency_is_told_by_model_version_method_and_status(scrape):
    for code, count in (("OK", 2), ("INVALID_ARGUMENT", 1)):
        labels = {"model": "shades", "version": "1", "method": "Predict", "code": code}
        assert value(scrape["signet_request_seconds"], **labels) == count


def test_latency_buckets_begin_at_100_microseconds(scrape):
    edges = {float(one.labels["le"]) for one in scrape["signet_request_seconds"].samples if "le" in one.labels}
    assert min(edges) == 0.0001


def test_a_wrong_model_name_never_becomes_a_label(scrape):
    labels = {text for family in scrape.values() for sample in family.samples for text in sample.labels.values()}
    assert "wrong-name" not in labels
    assert value(scrape["signet_request_seconds"], model="", code="NOT_FOUND") == 1


def test_refusals_are_counted_by_reason(scrape):
    assert value(scrape["signet_refusals"], model="shades", reason="InvalidInput") == 1
    assert value(scrape["signet_refusals"], model="", reason="ModelNotFound") == 1


def test_predictions_are_counted_by_label(scrape):
    assert value(scrape["signet_predictions"], label="dark") == 2
    assert value(scrape["signet_predictions"], label="bright") == 1


def test_rows_and_runs_are_counted(scrape):
    assert value(scrape["signet_rows"], model="shades") == 3
    assert value(scrape["signet_batch_rows"], model="shades") == 2


def test_state_and_provider_are_shown(scrape):
    assert value(scrape["signet_model_state"], model="shades", state="READY") == 1
    assert value(scrape["signet_model_state"], model="shades", state="FAILED") == 0
    assert value(scrape["signet_model_provider"], provider="CPUExecutionProvider") == 1
