"""The rules are what Prometheus takes; each alert fires when it should, and only then.

The cases are in rules/*.yml, in promtool's own words.
"""

import re
import subprocess
from pathlib import Path

import grpc
import pytest
import yaml

from protos.inference import service_pb2
from protos.signet.v1 import prediction_pb2
from protos.tensorflow_serving import prediction_service_pb2
from serving import errors
from serving.rpc.outcome import STATUS_OF
from tests.real_prometheus import program

RULES = sorted((Path(__file__).parents[3] / "deploy" / "prometheus" / "rules").glob("*.yml"))
CASES = sorted((Path(__file__).parent / "rules").glob("*.yml"))
OBJECTIVES = next(path for path in RULES if path.stem == "objectives").read_text("utf-8")
BY_THE_CALLER = {errors.InvalidInput, errors.ModelNotFound, errors.PermissionDenied, errors.NotOffered}
ALERTS = [
    rule
    for path in RULES
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
EXPECTED = [
    expected
    for path in CASES
    for case in yaml.safe_load(path.read_text("utf-8"))["tests"]
    for expected in case["alert_rule_test"]
]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)


def phrase(alert: dict) -> str:
    return " ".join((alert["alert"], *alert["labels"].values()))


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_promtool_takes_the_rules(path):
    checked = promtool("check", "rules", "--lint-fatal", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(path):
    tested = promtool("test", "rules", str(path))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=phrase)
def test_each_alert_is_seen_to_fire_and_not_to_fire(alert):
    expected = [one["exp_alerts"] for one in EXPECTED if one["alertname"] == alert["alert"]]
    fires = [
        any(alert["labels"].items() <= fired["exp_labels"].items() for fired in fired_then) for fired_then in expected
    ]
    assert set(fires) == {True, False}


@pytest.mark.parametrize("alert", ALERTS, ids=phrase)
def test_each_alert_says_how_bad_it_is_what_happened_and_what_to_do(alert):
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"deploy/README.md#{alert['alert'].lower()}"


def test_what_callers_cannot_help_is_our_fault_and_nothing_else():
    (counted,) = re.findall(r'code=~"([A-Z_|]+)"', OBJECTIVES)
    given = {code.name for error, code in STATUS_OF.items() if error not in BY_THE_CALLER}
    assert set(counted.split("|")) == given | {grpc.StatusCode.UNKNOWN.name}


def test_what_may_not_be_late_are_the_methods_that_predict():
    (counted,) = set(re.findall(r'method=~"([A-Za-z|]+)"', OBJECTIVES))
    modules = (prediction_pb2, service_pb2, prediction_service_pb2)
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    offered = {method.name for service in services for method in service.methods}
    assert set(counted.split("|")) <= offered
