"""Everything that dashboards, alerts and recording rules ask of Prometheus."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))

METRIC = re.compile(r"(?<![\w:$])(?:signet_|process_|signet:|model:)[\w:]+")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
LEGEND_LABEL = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Asked:
    """A query, where it stands, and the labels that its legend names."""

    where: str
    expr: str
    legend: str = ""

    def __str__(self) -> str:
        return self.where

    @property
    def metrics(self) -> set[str]:
        """The names of metrics and recorded rules in it."""
        return set(METRIC.findall(self.expr))

    @property
    def selected(self) -> Iterator[tuple[str, str]]:
        """Each metric with each label by which it is selected."""
        for metric, labels in SELECTOR.findall(self.expr):
            for label in LABEL.findall(labels):
                yield metric, label

    @property
    def shown(self) -> set[str]:
        """The labels in its legend."""
        return set(LEGEND_LABEL.findall(self.legend))


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards by the name of their file."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in DASHBOARDS}


def panels() -> dict[str, dict[str, Any]]:
    """The panels of all dashboards, rows left out, by dashboard and title."""
    return {
        f"{name}: {panel['title']}": panel
        for name, board in dashboards().items()
        for panel in board["panels"]
        if panel["type"] != "row"
    }


def asked_by_panels() -> list[Asked]:
    """The queries of all panels."""
    return [
        Asked(f"{where} {target['refId']}", target["expr"], target["legendFormat"])
        for where, panel in panels().items()
        for target in panel["targets"]
    ]


def rules() -> list[dict[str, Any]]:
    """Recording rules and alerts."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def asked_by_rules() -> list[Asked]:
    """The queries of recording rules."""
    return [Asked(rule["record"], rule["expr"]) for rule in rules() if "record" in rule]


def asked_by_alerts() -> list[Asked]:
    """The queries of alerts; with alike names, told apart by their labels."""
    return [
        Asked(" ".join((rule["alert"], *rule["labels"].values())), rule["expr"]) for rule in rules() if "alert" in rule
    ]
