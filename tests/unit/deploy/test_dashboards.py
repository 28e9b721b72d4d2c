"""The dashboards are what their Python writes, are laid out, explain themselves, and ask for metrics that there are."""

from itertools import combinations, pairwise

import pytest
import yaml

from deploy.grafana.write import FOLDER, texts
from serving.metrics import Metrics, SupervisorMetrics
from tests.asked_queries import (
    DEPLOY,
    asked_by_alerts,
    asked_by_panels,
    asked_by_rules,
    dashboards,
    panels,
    rules,
)

PANELS = panels()
BOARDS = dashboards()
SUFFIXES = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_count", "_sum")}
SOURCES = DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml"


@pytest.fixture(scope="module")
def exposed() -> set[str]:
    """The names under which the server exposes its figures, and those that rules record."""
    families = [*Metrics().registry.collect(), *SupervisorMetrics().registry.collect()]
    named = {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ("",))}
    return named | {rule["record"] for rule in rules() if "record" in rule}


def test_the_files_are_what_make_dashboards_writes():
    assert {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()} == texts()


def test_each_dashboard_keeps_its_address():
    assert {name: board["uid"] for name, board in BOARDS.items()} == {
        "machine": "signet-machine",
        "model": "signet-model",
        "overview": "signet-overview",
    }


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_each_dashboard_leads_to_the_others_with_what_was_chosen(board):
    (link,) = board["links"]
    assert (link["type"], link["includeVars"], link["keepTime"]) == ("dashboards", True, True)
    assert set(link["tags"]) <= set(board["tags"])


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_panels_lie_side_by_side_within_24_columns(board):
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart = any(
            first[edge] + first[size] <= second[edge]
            for edge, size in (("x", "w"), ("y", "h"))
            for first, second in ((one, other), (other, one))
        )
        assert apart, (one, other)
    assert all(above["id"] < below["id"] for above, below in pairwise(board["panels"]))


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_each_panel_explains_itself_and_names_its_unit(panel):
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]


def test_everything_asks_the_data_source_that_is_provided():
    (source,) = yaml.safe_load(SOURCES.read_text("utf-8"))["datasources"]
    asked = [target["datasource"] for panel in PANELS.values() for target in panel["targets"]]
    asked += [panel["datasource"] for panel in PANELS.values()]
    asked += [variable["datasource"] for board in BOARDS.values() for variable in board["templating"]["list"]]
    assert {(one["type"], one["uid"]) for one in asked} == {(source["type"], source["uid"])}


def test_the_data_source_knows_how_often_is_scraped():
    (source,) = yaml.safe_load(SOURCES.read_text("utf-8"))["datasources"]
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]


@pytest.mark.parametrize("asked", [*asked_by_panels(), *asked_by_rules(), *asked_by_alerts()], ids=str)
def test_each_metric_asked_for_is_one_of_the_servers_or_recorded(asked, exposed):
    assert sorted(asked.metrics - exposed) == []


def test_no_rule_records_what_nobody_asks_for():
    asked = set().union(*(one.metrics for one in (*asked_by_panels(), *asked_by_rules(), *asked_by_alerts())))
    assert {rule["record"] for rule in rules() if "record" in rule} <= asked
