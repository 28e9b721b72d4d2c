"""`signet models label` and `split`, and a real server that allows control."""

import json
import sys

import numpy as np
import pytest

from serving.client import AsyncClient, Client, Traffic
from serving.client.__main__ import main
from tests import tiny_models as tiny
from tests.running_server import running_server

ROW = np.array([[0, 9, 0]], np.float32)


@pytest.fixture
def address(tmp_path):
    for version in (1, 2):
        tiny.put_bare(tmp_path, "letters", tiny.linear_model(), version, labels=["a", "b", "c"])
    with running_server(tmp_path, allow_control=True, version_policy="all") as server:
        yield f"127.0.0.1:{server.port}"


@pytest.fixture
def run(address, monkeypatch, capsys):
    """Run `signet` with these arguments against the server; (exit code, words of stdout by line, stderr)."""

    def run_signet(*arguments):
        monkeypatch.setenv("SIGNET_ADDRESS", address)
        monkeypatch.setattr(sys, "argv", ["signet", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code, [line.split() for line in printed.out.splitlines()], printed.err

    return run_signet


def test_labels_and_splits_are_set_shown_and_removed(run):
    run("models", "label", "letters", "stable", 1)
    code, lines, _ = run("models", "label", "letters", "canary", 2)
    assert (code, lines[1:]) == (0, [["canary", "2"], ["stable", "1"]])
    assert run("models", "split", "letters", "canary=10")[1][1] == ["canary", "2", "10", "%"]
    assert [line[:7] for line in run("models")[1]] == [
        ["model", "version", "state", "default", "labels", "split"],
        ["letters", "1", "READY", "yes", "stable"],
        ["letters", "2", "READY", "canary", "10", "%"],
    ]
    assert ["version", "labels", "canary,", "10", "%", "of", "the", "requests"] in run(
        "models", "show", "letters", "--version", 2
    )[1]
    code, _, errors = run("models", "label", "letters", "canary", "--remove")
    assert (code, "label canary has 10 % of the requests" in errors) == (1, True)
    run("models", "split", "letters", "--remove")
    assert run("models", "label", "letters", "canary", "--remove")[1][1:] == [["stable", "1"]]


def test_what_is_set_is_printed_as_json_too(run):
    _, lines, _ = run("models", "label", "letters", "stable", 1, "--json")
    assert json.loads("".join(lines[0])) == {"labels": {"stable": 1}, "split": {}}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("label", "letters", "stable"), "either a VERSION or --remove was expected"),
        (("label", "letters", "stable", 1, "--remove"), "either a VERSION or --remove was expected"),
        (("split", "letters"), "either LABEL=PERCENT or --remove was expected"),
    ],
)
def test_what_is_missing_is_named(run, arguments, text):
    code, _, errors = run("models", *arguments)
    assert (code, text in errors) == (1, True)


def test_a_policy_can_be_asked_for(run):
    assert run("models", "load", "letters", "--policy", "specific:1")[1][-1][:3] == ["letters", "1", "READY"]
    assert [line[1] for line in run("models")[1]] == ["version", "1"]


def test_the_clients_ask_by_label(address):
    with Client(address) as client:
        assert client.set_label("letters", "stable", 1) == Traffic({"stable": 1}, {})
        assert client.predict("letters", ROW, version_label="stable").version == 1
        assert client.set_split("letters", {"stable": 100}).split == {"stable": 100}
        assert client.predict("letters", ROW).version == 1


async def test_the_async_client_has_the_same_control(address):
    client = AsyncClient(address)
    await client.set_label("letters", "stable", 1)
    await client.set_split("letters", {"stable": 100})
    assert (await client.predict("letters", ROW, version_label="stable")).version == 1
    await client.set_split("letters", {})
    assert await client.remove_label("letters", "stable") == Traffic({}, {})
    assert (await client.load_model("letters", policy="latest:2")).version == 2
    await client.close()
