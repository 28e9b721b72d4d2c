"""The metrics port answers two paths, and says when the server is not ready."""

from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, Gauge

from serving.metrics_endpoint import MetricsEndpoint


@pytest.fixture
def ready() -> set[bool]:
    return {True}


@pytest.fixture
def port(ready):
    registry = CollectorRegistry()
    Gauge("rows", "Rows.", registry=registry).set(3)
    endpoint = MetricsEndpoint(registry, lambda: True in ready)
    yield endpoint.start("127.0.0.1", 0)
    endpoint.close()


def answer(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_scrape_is_at_metrics(port):
    status, text = answer(port, "/metrics")
    assert status == 200
    assert "rows 3.0" in text.splitlines()


def test_health_is_what_the_server_says(port, ready):
    assert answer(port, "/healthz") == (200, "ready\n")
    ready.clear()
    assert answer(port, "/healthz") == (503, "not ready\n")


def test_another_path_names_the_two(port):
    assert answer(port, "/health") == (404, "GET /metrics or /healthz\n")


def test_a_port_that_is_taken_is_refused(port):
    with pytest.raises(OSError, match="in use"):
        MetricsEndpoint(CollectorRegistry(), lambda: True).start("127.0.0.1", port)


def test_one_that_never_started_can_be_closed():
    MetricsEndpoint(CollectorRegistry(), lambda: True).close()
