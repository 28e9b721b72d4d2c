"""Writes monitoring/prometheus_rule.yaml: the rule files of deploy/prometheus/rules as one PrometheusRule.

Kustomize cannot put a plain file into a field, so the operator's form is a second file; a test compares the two. Does
not know what a rule says: the groups are carried over letter for letter.
"""

import sys
import textwrap
from pathlib import Path

DEPLOY = Path(__file__).parents[1]
RULES = DEPLOY / "prometheus" / "rules"
TARGET = Path(__file__).parent / "monitoring" / "prometheus_rule.yaml"

HEAD = """\
# Written by `make k8s-rules` from deploy/prometheus/rules; change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: signet
spec:
  groups:
"""
GROUPS = "groups:\n"


def prometheus_rule() -> str:
    """The PrometheusRule as YAML. Raises ValueError for a rule file without groups."""
    return HEAD + "".join(textwrap.indent(_groups(path), "  ") for path in sorted(RULES.glob("*.yml")))


def _groups(path: Path) -> str:
    _, found, groups = path.read_text(encoding="utf-8").partition(f"\n{GROUPS}")
    if not found:
        raise ValueError(f"{path}: no line {GROUPS.strip()!r}, which Prometheus expects of a file of rules")
    return groups


if __name__ == "__main__":
    TARGET.write_text(prometheus_rule(), encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET}\n")
