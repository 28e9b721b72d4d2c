"""`signet` and a real server."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.client.__main__ import main
from tests import tiny_models as tiny
from tests.contract.requests import image_file
from tests.running_server import running_server

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(signet, tmp_path, monkeypatch, capsys):
    """Run `signet` with these arguments against the server; (exit code, lines of stdout, stderr)."""

    def run_signet(*arguments, address=f"127.0.0.1:{signet.server.port}"):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SIGNET_ADDRESS", address)
        monkeypatch.setattr(sys, "argv", ["signet", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out.splitlines(), printed.err

    return run_signet


def test_the_module_runs_as_a_program(signet):
    address = f"127.0.0.1:{signet.server.port}"
    command = [sys.executable, "-m", "serving.client", "health", "--address", address]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "SERVING\n", "")


@pytest.fixture
def images(tmp_path):
    for name, grey in (("night", 0), ("day", 255)):
        (tmp_path / f"{name}.png").write_bytes(image_file(grey))
    return ["night.png", "day.png"]


def test_predict_prints_one_json_object_a_file(run, images):
    code, lines, errors = run("predict", "shades", *images, "--json")
    assert (code, errors) == (0, "")
    answers = [json.loads(line) for line in lines]
    assert [(one["file"], one["label"], one["class_index"]) for one in answers] == [
        ("night.png", "dark", 0),
        ("day.png", "bright", 2),
    ]
    assert set(answers[0]) == {"file", "label", "class_index", "score"}


def test_files_may_stand_before_and_after_flags(run, images):
    code, lines, errors = run("predict", "shades", "--json", images[0], "--top-k", 2, images[1])
    assert (code, errors) == (0, "")
    assert [json.loads(line)["file"] for line in lines] == images


def test_top_k_adds_the_best_classes(run, images):
    _, lines, _ = run("predict", "shades", images[0], "--json", "--top-k", 2)
    assert [one["label"] for one in json.loads(lines[0])["top"]] == ["dark", "middle"]


def test_predict_prints_a_table_without_json(run, images):
    _, lines, _ = run("predict", "shades", *images)
    assert [line.split()[:2] for line in lines] == [["file", "label"], ["night.png", "dark"], ["day.png", "bright"]]


def test_each_features_flag_is_a_row(run):
    code, lines, _ = run(
        "predict", "sums", "--features", "a=1", "b=2", "c=3", "--features", "a=-1", "b=0", "c=0", "--json"
    )
    assert code == 0
    assert [(one["row"], one["label"]) for one in map(json.loads, lines)] == [(0, "positive"), (1, "negative")]


def test_a_file_that_fails_is_named_and_the_others_are_answered(run, images):
    code, lines, errors = run("predict", "shades", images[0], "none.png", images[1], "--json")
    assert code == 1
    assert [json.loads(line)["file"] for line in lines] == images
    assert errors == "signet: file none.png: image none.png: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "shades"),
        ("predict", "sums", "--features", "a"),
        ("predict", "shades", "x.png", "--top-k", "0"),
        ("models", "--timeout-seconds", "soon"),
        ("predict", "shades", "x.png", "--colour"),
        ("labels", "shades", "x.png"),
        ("nonsense",),
        (),
    ],
    ids=[
        "no rows",
        "feature without value",
        "top_k 0",
        "no number",
        "unknown flag",
        "file where none is taken",
        "unknown command",
        "nothing",
    ],
)
def test_a_wrong_command_line_ends_with_2_and_usage(run, arguments):
    code, lines, errors = run(*arguments)
    assert (code, lines) == (2, [])
    assert errors.startswith("usage: signet")


def test_models_lists_versions_and_their_states(run):
    code, lines, _ = run("models", "--json")
    assert code == 0
    states = {one["model"]: one["state"] for one in map(json.loads, lines)}
    assert (states["shades"], states["corrupt"]) == ("READY", "FAILED")
    assert run("models", "list")[1][0].split() == ["model", "version", "state", "default", "reason"]


def test_models_show_tells_about_one(run):
    code, lines, _ = run("models", "show", "shades")
    assert code == 0
    assert "labels     dark, middle, bright" in lines


def test_control_that_is_off_is_one_line(run):
    code, _, errors = run("models", "unload", "shades")
    assert code == 1
    assert errors == "signet: UnloadModel is off; the server was started without --allow-control\n"


def test_labels_are_listed_by_class_index(run):
    assert run("labels", "shades")[1] == ["index  label", "0      dark", "1      middle", "2      bright"]
    assert json.loads(run("labels", "shades", "--json")[1][0]) == tiny.SHADES


@pytest.mark.parametrize(
    ("arguments", "code", "lines"),
    [((), 0, ["SERVING"]), (("shades",), 0, ["SERVING"]), (("corrupt",), 1, ["NOT_SERVING"]), (("nope",), 1, [])],
    ids=["server", "ready model", "failed model", "unknown model"],
)
def test_health_is_the_exit_code(run, arguments, code, lines):
    assert run("health", *arguments)[:2] == (code, lines)


def test_an_error_tells_the_id_by_which_the_server_logged_it(run, repository):
    with running_server(repository, access_log="errors") as server:
        code, _, errors = run("models", "unload", "shades", address=f"127.0.0.1:{server.port}")
    assert code == 1
    assert re.fullmatch(r"signet: UnloadModel is off; .* \(request id [0-9a-f]{16}\)\n", errors)


def test_a_server_that_is_not_there_is_one_line(run):
    code, _, errors = run("health", address="127.0.0.1:1")
    assert code == 1
    assert errors.startswith("signet: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("command", ["predict", "labels", "health", "evaluate", "models"])
def test_help_explains_every_flag(run, command):
    code, lines, _ = run(command, "--help")
    assert code == 0
    assert "--address HOST:PORT" in "\n".join(lines)


@pytest.fixture
def package(repository, tmp_path):
    """The package of `sums` as training leaves it: 300 rows, of which the model gets 299 right."""
    folder = shutil.copytree(repository / "sums" / "1", tmp_path / "package")
    rows = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    truth = (rows.sum(axis=1) > 0).astype(np.int64)
    truth[0] = 1 - truth[0]
    np.savez_compressed(folder / "evaluation.npz", **{"input.features": rows, "truth": truth})
    write_report(folder, 299 / 300)
    return folder


def write_report(folder, accuracy):
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "report.json").write_text(json.dumps({"metrics": {"accuracy": accuracy}}))


def test_evaluate_finds_the_accuracy_of_the_report(run, package):
    code, lines, errors = run("evaluate", package, "--json")
    assert (code, errors) == (0, "")
    told = json.loads(lines[0])
    assert (told["rows"], told["right"], told["equal"]) == (300, 299, True)


def test_evaluate_ends_with_1_for_one_row_more_or_less(run, package):
    write_report(package, 298 / 300)
    code, lines, errors = run("evaluate", package)
    assert code == 1
    assert "299/300" in lines[0]
    assert errors == "signet: 299 of 300 rows were right; 298 were expected from report.json\n"


def test_evaluate_refuses_a_report_of_other_rows(run, package):
    write_report(package, 0.5012)
    assert "was not measured on the 300 rows" in run("evaluate", package)[2]


def change_manifest(package, **fields):
    path = package / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "text"),
    [({"version": 9}, "9"), ({"class_indices": {"no": 0, "yes": 1}}, "has labels")],
    ids=["version that is not served", "other labels"],
)
def test_evaluate_refuses_another_version_than_the_one_served(run, package, fields, text):
    change_manifest(package, **fields)
    code, lines, errors = run("evaluate", package)
    assert (code, lines) == (1, [])
    assert text in errors
    assert errors.count("\n") == 1


def test_evaluate_names_the_file_that_is_missing(run, package):
    (package / "evaluation.npz").unlink()
    code, _, errors = run("evaluate", package)
    assert code == 1
    assert "evaluation.npz: cannot be read: No such file or directory" in errors
