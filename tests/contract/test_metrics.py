"""What happened can be read at GET /metrics, failures included, and no caller can make the scrape grow."""

from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from protos.signet.v1.models_pb2 import GetModelRequest, LoadModelRequest
from protos.signet.v1.prediction_pb2 import PredictRequest, PredictStreamRequest
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
    "signet_queue_rows_limit": "gauge",
    "signet_rows": "counter",
    "signet_split_runs": "counter",
    "signet_predictions": "counter",
    "signet_model_state": "gauge",
    "signet_load_seconds": "histogram",
    "signet_model_load_seconds": "gauge",
    "signet_golden_difference": "gauge",
    "signet_golden_tolerance": "gauge",
    "signet_version_label": "gauge",
    "signet_traffic_percent": "gauge",
    "signet_log_lines_dropped": "counter",
    "signet_traces_lost": "counter",
    "signet_model_provider": "gauge",
    "signet_model_intra_op_threads": "gauge",
    "signet_build_info": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_threads": "gauge",
}

WRONG_NAMES = ("wrong-name", "Wrong.Method", "987654")


def scraped(server) -> dict:
    """The families of one scrape by name."""
    with urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=10) as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        return {family.name: family for family in text_string_to_metric_families(response.read().decode())}


@pytest.fixture(scope="module")
def scrape(tmp_path_factory):
    """A scrape after three rows in two good requests, two in a stream of which one is bad, and several bad ones."""
    root = tmp_path_factory.mktemp("metrics")
    tiny.put_shades(root)
    tiny.put_golden_letters(root)
    tiny.put_bare(root, "corrupt", b"no model")
    with running_server(root, queue_rows=9000) as server:
        connection = connect(server)
        predict = connection.prediction.Predict
        predict(shades(0, 255))
        predict(shades(0))
        no_image = PredictRequest(model="shades", images=[b"no image"])
        for request in (no_image, PredictRequest(model="wrong-name"), PredictRequest(model="shades", version=987654)):
            status_of(predict, request)
        status_of(predict, PredictRequest(model="corrupt"))
        status_of(connection.channel.unary_unary("/signet.v1.Prediction/Predict"), b"\xff")
        status_of(connection.channel.unary_unary("/signet.v1.Prediction/Wrong.Method"), b"")
        status_of(connection.models.LoadModel, LoadModelRequest(model="wrong-name"))
        connection.models.GetModel(GetModelRequest(model="shades"))
        list(connection.prediction.PredictStream(PredictStreamRequest(request=one) for one in (shades(130), no_image)))
        families = scraped(server)
        connection.channel.close()
    return families


def value(family, **labels) -> float:
    """The value, for a histogram the count, of the sample that has these labels."""
    return next(
        one.value
        for one in family.samples
        if labels.items() <= one.labels.items() and not one.name.endswith(("_bucket", "_sum"))
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_each_metric_has_its_type_and_help(scrape, name):
    assert scrape[name].type == EXPECTED[name]
    assert scrape[name].documentation.endswith(".")


def test_no_metric_is_unknown_here(scrape):
    assert {name for name in scrape if name.startswith("signet_")} <= set(EXPECTED)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.endswith("_seconds")])
def test_a_time_says_in_its_help_that_it_is_in_seconds(scrape, name):
    assert "seconds" in scrape[name].documentation


@pytest.mark.parametrize(
    ("method", "code", "count"),
    [
        ("Predict", "OK", 2),
        ("Predict", "INVALID_ARGUMENT", 1),
        ("PredictStream", "OK", 1),
        ("PredictStream", "INVALID_ARGUMENT", 1),
        ("GetModel", "OK", 1),
    ],
)
def test_latency_is_told_by_model_version_method_and_status(scrape, method, code, count):
    labels = {"model": "shades", "version": "1", "method": method, "code": code}
    assert value(scrape["signet_request_seconds"], **labels) == count


@pytest.mark.parametrize(
    ("method", "code", "count"),
    [
        ("Predict", "INVALID_ARGUMENT", 1),
        ("Predict", "NOT_FOUND", 2),
        ("Predict", "FAILED_PRECONDITION", 1),
        ("LoadModel", "PERMISSION_DENIED", 1),
    ],
)
def test_failures_that_no_served_model_answers_for_are_counted_without_one(scrape, method, code, count):
    labels = {"model": "", "version": "", "method": method, "code": code}
    assert value(scrape["signet_request_seconds"], **labels) == count


def test_latency_buckets_begin_at_100_microseconds(scrape):
    edges = {float(one.labels["le"]) for one in scrape["signet_request_seconds"].samples if "le" in one.labels}
    assert min(edges) == 0.0001


def test_nothing_that_a_caller_made_up_becomes_a_label(scrape):
    labels = {text for family in scrape.values() for sample in family.samples for text in sample.labels.values()}
    assert labels.isdisjoint(WRONG_NAMES)


@pytest.mark.parametrize(
    ("model", "reason", "count"),
    [
        ("shades", "InvalidInput", 2),
        ("", "InvalidInput", 1),
        ("", "ModelNotFound", 2),
        ("", "ModelBroken", 1),
        ("", "PermissionDenied", 1),
    ],
)
def test_refusals_are_counted_by_reason(scrape, model, reason, count):
    assert value(scrape["signet_refusals"], model=model, reason=reason) == count


def test_predictions_are_counted_by_label(scrape):
    counts = {label: value(scrape["signet_predictions"], model="shades", label=label) for label in tiny.SHADES}
    assert counts == {"dark": 2, "middle": 1, "bright": 1}


def test_rows_runs_and_waits_are_counted(scrape):
    assert value(scrape["signet_rows"], model="shades") == 4
    assert value(scrape["signet_batch_rows"], model="shades") == 3
    assert value(scrape["signet_run_seconds"], model="shades") == 3
    assert value(scrape["signet_queue_seconds"], model="shades") == 3


def test_nothing_waits_and_nothing_is_in_flight_when_all_is_answered(scrape):
    assert value(scrape["signet_queue_rows"], model="shades") == 0
    assert value(scrape["signet_requests_in_flight"]) == 0


def test_state_provider_threads_and_load_time_are_shown(scrape):
    states = scrape["signet_model_state"]
    assert value(states, model="shades", state="READY") == 1
    assert value(states, model="shades", state="FAILED") == 0
    assert value(states, model="corrupt", state="FAILED") == 1
    assert value(scrape["signet_model_provider"], model="shades", provider="CPUExecutionProvider") == 1
    assert value(scrape["signet_model_intra_op_threads"], model="shades") >= 1
    assert value(scrape["signet_load_seconds"], model="shades") == 1
    assert value(scrape["signet_model_load_seconds"], model="shades") > 0
    assert value(scrape["signet_queue_rows_limit"], model="shades") == 9000


def test_a_golden_check_is_shown_for_the_version_that_has_one(scrape):
    tolerances = {one.labels["model"]: one.value for one in scrape["signet_golden_tolerance"].samples}
    assert tolerances == {"letters": 1e-5}
    assert value(scrape["signet_golden_difference"], model="letters") <= 1e-5


def test_the_version_of_the_server_is_told(scrape):
    assert scrape["signet_build_info"].samples[0].labels["version"]


def test_the_gauges_of_a_version_that_is_gone_go_too(tmp_path):
    tiny.put_shades(tmp_path)
    with running_server(tmp_path, allow_control=True) as server:
        connection = connect(server)
        connection.prediction.Predict(shades(0))
        tiny.put_shades(tmp_path, version=2)
        connection.models.LoadModel(LoadModelRequest(model="shades"))
        families = scraped(server)
        connection.channel.close()
    gauges = ("signet_model_state", "signet_model_provider", "signet_model_intra_op_threads", "signet_queue_rows")
    for name in gauges:
        assert {sample.labels["version"] for sample in families[name].samples} == {"2"}
