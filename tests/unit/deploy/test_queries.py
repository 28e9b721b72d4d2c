"""Every query of every dashboard, alert and rule is understood by the real Prometheus and finds what it is for.

It scrapes one server by itself and one with two workers, which have traffic of every kind.
"""

import math
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
import yaml

from protos.signet.v1.models_pb2 import SetTrafficSplitRequest, SetVersionLabelRequest
from protos.signet.v1.models_pb2_grpc import ModelsStub
from protos.signet.v1.prediction_pb2 import PredictRequest
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.asked_queries import RULES, Asked, asked_by_alerts, asked_by_panels, asked_by_rules, dashboards
from tests.contract.requests import letters, shades
from tests.contract.serving_workers import two_workers
from tests.real_prometheus import Prometheus, program, real_prometheus, wait_until
from tests.running_server import running_server

EVERY = "500ms"
RATE = "4s"
TRAFFIC_PAUSE_SECONDS = 0.05
REQUESTS = (
    shades(0, 130, 255),
    letters([[1, 2, 3]]),
    PredictRequest(model="shades", images=[b"no image"]),
    PredictRequest(model="corrupt"),
    PredictRequest(model="nobody"),
)
VARIABLES = {
    f"{name} ${variable['name']}": variable["query"]
    for name, board in dashboards().items()
    for variable in board["templating"]["list"]
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus with our rules, which scrapes both servers for as long as it is asked."""
    program("prometheus")
    models = tmp_path_factory.mktemp("models")
    for version in (1, 2):
        tiny.put_shades(models, version)
    tiny.put_golden_letters(models)
    tiny.put_bare(models, "corrupt", b"no model")
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as stack:
        alone = stack.enter_context(running_server(models, version_policy="all"))
        flags = ("--allow-control", "--version-policy", "all", "--state", str(tmp_path_factory.mktemp("state")))
        workers = stack.enter_context(two_workers(models, *flags))
        config = _config(folder, alone.metrics_port, workers.metrics_port)
        for port in (alone.port, workers.port):
            stack.enter_context(traffic(port))
        with grpc.insecure_channel(f"127.0.0.1:{workers.port}") as channel:
            control = ModelsStub(channel)
            control.SetVersionLabel(SetVersionLabelRequest(model="shades", version=2, label="canary"))
            control.SetTrafficSplit(SetTrafficSplitRequest(model="shades", percent={"canary": 25.0}))
        yield stack.enter_context(real_prometheus(folder, config))


def _config(folder: Path, *ports: int) -> Path:
    for path in RULES:
        often = re.sub(r"interval: \w+", f"interval: {EVERY}", path.read_text("utf-8"))
        (folder / path.name).write_text(often, encoding="utf-8")
    targets = [f"127.0.0.1:{port}" for port in ports]
    config = {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": [path.name for path in RULES],
        "scrape_configs": [{"job_name": "signet", "static_configs": [{"targets": targets}]}],
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@contextmanager
def traffic(port: int) -> Iterator[None]:
    """Requests of every kind, again and again, until the block ends."""
    ended = threading.Event()

    def send() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            predict = PredictionStub(channel).Predict
            while not ended.wait(TRAFFIC_PAUSE_SECONDS):
                for call in [predict.future(request) for request in REQUESTS]:
                    call.exception()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def filled_in(expr: str) -> str:
    """The query as Grafana sends it when nothing was chosen."""
    return re.sub(r"\$(job|instance|model|version)\b", ".*", expr.replace("$__rate_interval", RATE))


def labels_of(prometheus: Prometheus, expr: str, wanted: set[str]) -> set[str]:
    """The labels of the series that have a number, as soon as there are any and they have all that is wanted."""
    labels: set[str] = set()

    def look() -> bool:
        results = prometheus.query(filled_in(expr))
        series = [one["metric"] for one in results if not math.isnan(float(one["value"][1]))]
        labels.update(*series)
        return bool(series) and wanted <= labels

    assert wait_until(look), f"{expr} gave labels {labels}"
    return labels


@pytest.mark.parametrize("asked", [*asked_by_panels(), *asked_by_rules()], ids=str)
def test_each_query_finds_something_and_has_what_its_legend_shows(prometheus, asked: Asked):
    assert asked.shown <= labels_of(prometheus, asked.expr, asked.shown)


@pytest.mark.parametrize("asked", asked_by_alerts(), ids=str)
def test_each_alert_is_understood(prometheus, asked: Asked):
    prometheus.query(asked.expr)


@pytest.mark.parametrize("query", VARIABLES.values(), ids=VARIABLES)
def test_each_variable_has_values(prometheus, query):
    ((expr, label),) = re.findall(r"^label_values\((.*), (\w+)\)$", query)
    assert label in labels_of(prometheus, expr, {label})


@pytest.mark.parametrize("asked", [*asked_by_panels(), *asked_by_rules(), *asked_by_alerts()], ids=str)
def test_each_label_that_a_query_selects_by_is_one_of_its_metric(prometheus, asked: Asked):
    for metric, label in asked.selected:
        if metric != "ALERTS":  # Prometheus' own, and there is none while all is well
            assert label in labels_of(prometheus, metric, {label})
