"""What an image installs is what pyproject.toml says."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def requirements(*extras):
    command = [sys.executable, "deploy/docker/requirements.py", "pyproject.toml", *extras]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def test_the_server_gets_the_dependencies_and_those_of_the_extras_asked_for():
    extras = PROJECT["optional-dependencies"]
    assert requirements("native", "tracing") == [*PROJECT["dependencies"], *extras["native"], *extras["tracing"]]


def test_for_cuda_the_other_onnxruntime_comes_in_its_place_with_the_libraries():
    found = [one for one in requirements("native", "gpu") if one.startswith("onnxruntime")]
    (gpu,) = PROJECT["optional-dependencies"]["gpu"]
    assert found == [gpu.replace("onnxruntime-gpu", "onnxruntime-gpu[cuda,cudnn]")]
