"""deploy/README.md tells the truth: its links, alerts, settings, metrics, verbs and files are there."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from serving.metrics import Metrics, SupervisorMetrics
from serving.settings import Settings
from serving.settings_reading import flag, variable
from tests.kubernetes.manifests import DEPLOY, KUBERNETES

ROOT = Path(__file__).parents[3]
PAGE = (DEPLOY / "README.md").read_text("utf-8")
ALERTS = sorted(
    {
        rule["alert"]: rule["annotations"]["runbook_url"]
        for file in sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }.items()
)
CLIENT_FLAGS = {"--address", "--help", "--policy", "--remove", "--token", "--version"}
OTHER_PROGRAMS_FLAGS = {
    "--build-arg", "--dry-run", "--exclude", "--previous", "--rm", "--since", "--sort-by", "--tail", "--volumes",
}  # fmt: skip


def anchors(text: str) -> set[str]:
    """What a link may name after #: headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("alert", "address"), ALERTS, ids=[alert for alert, _ in ALERTS])
def test_each_alert_sends_its_reader_to_a_section_of_this_page(alert, address):
    path, _, anchor = address.partition("#")
    assert path.endswith("deploy/README.md")
    assert anchor == alert.lower()
    assert anchor in anchors(PAGE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)]+)\)", PAGE))))
def test_each_link_leads_to_a_file_and_a_heading_in_it(link):
    path, _, anchor = link.partition("#")
    target = (DEPLOY / path).resolve() if path else DEPLOY / "README.md"
    assert target.is_file()
    assert not anchor or anchor in anchors(target.read_text("utf-8"))


def test_each_variable_and_flag_is_a_setting_of_the_server_or_known_of_another_program():
    settings = [one.name for one in fields(Settings)]
    flags = {flag(name) for name in settings} | {flag(f"no_{name}") for name in settings}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", PAGE))
    assert named - flags - CLIENT_FLAGS - OTHER_PROGRAMS_FLAGS == set()
    variables = {variable(name) for name in settings} | {"SIGNET_ADDRESS"}
    assert set(re.findall(r"SIGNET_[A-Z_]+\b", PAGE)) <= variables


def test_each_metric_is_one_of_the_servers():
    families = (*Metrics().registry.collect(), *SupervisorMetrics().registry.collect())
    names = {sample for family in families for sample in (family.name, f"{family.name}_total")}
    suffixes = re.compile(r"_(bucket|count|sum)$")
    assert {suffixes.sub("", name) for name in re.findall(r"\bsignet_[a-z_]+\b", PAGE)} <= names


def test_each_verb_of_make_is_in_the_makefile():
    verbs = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", PAGE)) <= verbs


def test_each_folder_and_file_of_this_source_that_a_command_names_is_there():
    # deploy/signet is kubectl's way to say: a pod of this Deployment.
    named = set(re.findall(r"\bdeploy/[A-Za-z_./]+[A-Za-z]", PAGE)) - {"deploy/signet"}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    assert [name for name in re.findall(r"\.\./\.\./(components/\w+)", PAGE) if not (KUBERNETES / name).is_dir()] == []
