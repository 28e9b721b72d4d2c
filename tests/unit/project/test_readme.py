"""README.md tells the truth: its table of settings is the code's, its files are there, its example runs as pasted."""

import re
from pathlib import Path

import pytest

from serving.metrics import Metrics, SupervisorMetrics
from serving.settings_table import settings_table
from tests import tiny_models as tiny
from tests.running_server import running_server

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
PIMA_FEATURES = ("pregnancies", "glucose", "blood_pressure", "skin_thickness", "insulin", "bmi", "pedigree", "age")


def found(pattern: str) -> str:
    match = re.search(pattern, README, re.DOTALL)
    assert match
    return match[1]


def test_the_table_of_settings_is_that_of_the_code():
    assert found(r"<!-- settings: .*? -->\n(.*?)<!-- end of settings -->") == settings_table()


@pytest.mark.parametrize("path", re.findall(r"\]\(((?!http)[^)]+)\)", README))
def test_each_file_that_is_linked_is_there(path):
    assert (ROOT / path).is_file()


def test_each_metric_that_is_named_is_one_of_the_servers_and_none_is_left_out():
    named = set(re.findall(r"`(signet_\w+)`", README))
    suffixes = {"counter": "_total", "info": "_info"}
    families = (*Metrics().registry.collect(), *SupervisorMetrics().registry.collect())
    exposed = {family.name + suffixes.get(family.type, "") for family in families}
    assert named == {name for name in exposed if name.startswith("signet_")}


def test_the_clients_example_runs_as_pasted(tmp_path, capsys):
    code = found(r"```python\n(.*?)```")
    features = [{"name": name, "minimum": 0, "maximum": 1} for name in PIMA_FEATURES]
    tiny.put_package(
        tmp_path,
        "pima",
        tiny.sigmoid_model(len(features)),
        {
            **tiny.SIGMOID_MANIFEST,
            "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, len(features)]}],
            "preprocessing": {"kind": "features", "input": "features", "features": features},
        },
    )
    with running_server(tmp_path) as server:
        assert code.count("127.0.0.1:8500") == 1
        exec(compile(code.replace("127.0.0.1:8500", f"127.0.0.1:{server.port}"), "README.md", "exec"), {})  # noqa: S102
    assert "positive 1.0" in capsys.readouterr().out.splitlines()
