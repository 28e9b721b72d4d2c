"""`signet conformance` and a real server: this one keeps every promise, and the command says so."""

import json
import sys

import pytest

from serving.client.__main__ import main
from serving.client.conformance.identity_model import write_identity_models
from tests.running_server import running_server

UNLIKE_OTHERS = {"infer.bytes-not-text"}
"""ONNX strings are UTF-8."""


@pytest.fixture(scope="module")
def address(tmp_path_factory, transport):
    repository = tmp_path_factory.mktemp("identity")
    write_identity_models(repository)
    with running_server(repository, transport=transport) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `signet conformance` with these arguments; (exit code, stdout, stderr)."""

    def run_signet(*arguments):
        monkeypatch.setattr(sys, "argv", ["signet", "conformance", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run_signet


def test_this_server_keeps_every_promise_and_every_convention_but_one(run, address):
    code, out, errors = run(address, "--json")
    assert (code, errors) == (0, "")
    told = json.loads(out)
    unmet = {one["name"]: one for one in told["checks"] if one["outcome"] != "pass"}
    assert set(unmet) == UNLIKE_OTHERS, unmet
    assert told["conforms"] is True
    assert told["outcomes"]["pass"] == len(told["checks"]) - len(UNLIKE_OTHERS)


def test_the_table_has_a_line_a_check_and_says_what_was_sent_and_came(run, address):
    code, out, _ = run(address)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["check", "says", "promise"]
    assert [line.split()[:3] for line in lines if "server.live" in line] == [["✓", "server.live", "must"]]
    assert out.count("\n  sent ") == out.count("\n  came ") == len(UNLIKE_OTHERS)
    assert "0 broken" in lines[-1]


def test_the_address_may_come_as_a_flag_and_models_by_name(run, address):
    code, out, _ = run("--address", address, "--model", "identity_fp32", "--model", "identity_bytes", "--json")
    checks = {one["name"]: one for one in json.loads(out)["checks"]}
    assert code == 0
    assert checks["datatypes.raw.fp32"]["outcome"] == checks["datatypes.raw.bytes"]["outcome"] == "pass"
    assert checks["datatypes.raw.int8"]["reason"] == "no model takes INT8: identity_fp32_int8 was looked for"
    assert checks["infer.outputs"]["reason"] == "no model has two inputs"


def test_a_model_that_is_not_there_ends_with_1(run, address):
    code, out, _ = run(address, "--model", "nothing")
    assert code == 1
    assert "✗  model.ready " in out


def test_nobody_there_is_one_clear_error(run):
    code, out, errors = run("127.0.0.1:1", "--timeout-seconds", "0.2")
    assert (code, out) == (1, "")
    assert errors == "signet: 127.0.0.1:1: no gRPC server answers within 0.2 s\n"


def test_identity_models_are_written_where_told(run, tmp_path):
    code, out, _ = run("--write-identity-model", tmp_path)
    assert code == 0
    assert str(tmp_path / "identity" / "1" / "model.onnx") in out.splitlines()
