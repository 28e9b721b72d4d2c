"""Twice the load that a server can carry: it answers what it can in time, and refuses the rest at once.

Run by name, since it takes a minute and both cores: python -m pytest tests/load/overload.py -s
"""

import asyncio
import json
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest

from serving.client import AsyncClient
from serving.rpc.transport import CAPABILITIES
from tests import tiny_models as tiny
from tests.contract.serving_process import serving

CALLERS = 64
CAPACITY_SECONDS = 5.0
LOAD_SECONDS = 10.0
DEADLINE_MS = 1000.0
REFUSED_WITHIN_MS = 100.0


@pytest.fixture(scope="module", params=sorted(CAPABILITIES))
def overloaded(request, tmp_path_factory):
    """Capacity in calls a second, then what a load test at twice of it tells."""
    repository = tmp_path_factory.mktemp("repository")
    tiny.put_bare(repository, "heavy", heavy_model())
    # On two cores, the generator needs one to be on time. Nobody reads the log: a full pipe would stop the server.
    flags = ("--transport", request.param, "--intra-op-threads", "1", "--access-log", "off")
    with serving(repository, *flags) as (_, port):
        address = f"127.0.0.1:{port}"
        capacity = asyncio.run(closed_loop(address))
        told = load_test(address, 2 * capacity)
    step = told["steps"][0]
    shown = ("calls", "ok", "refused", "deadline", "goodput_calls_per_second", "accepted_ms", "refused_ms")
    print(f"\n{request.param}: capacity {capacity:.1f} calls/s; {json.dumps({name: step[name] for name in shown})}")  # noqa: T201
    return capacity, step


def heavy_model():
    """`x` [rows, 2] → `y` [rows, 1]: a few milliseconds a row on one core, twelve products of a matrix with itself."""
    size, times = 256, 12
    node = onnx.helper.make_node
    nodes = [
        node("ReduceSum", ["x", "axis"], ["sum"], keepdims=1),
        node("Unsqueeze", ["sum", "axis"], ["number"]),
        node("Mul", ["number", "matrix"], ["m0"]),
        *(node("MatMul", [f"m{n}", "matrix"], [f"m{n + 1}"]) for n in range(times)),
        node("ReduceMean", [f"m{times}", "both"], ["mean"], keepdims=1),
        node("Squeeze", ["mean", "axis"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {
        "axis": np.array([1], np.int64),
        "both": np.array([1, 2], np.int64),
        "matrix": np.full((size, size), 1 / size, np.float32),
    }
    return tiny.model_bytes(nodes, [tiny.value("x", [None, 2])], [tiny.value("y", [None, 1])], constants)


async def closed_loop(address):
    """Calls a second of callers that each wait for their answer."""
    inputs = {"x": np.ones((1, 2), np.float32)}
    answered = 0
    async with AsyncClient(address) as client:
        await client.predict("heavy", inputs)
        end = time.monotonic() + CAPACITY_SECONDS

        async def caller():
            nonlocal answered
            while time.monotonic() < end:
                await client.predict("heavy", inputs)
                answered += 1

        started = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return answered / (time.monotonic() - started)


def load_test(address, rate):
    """What `signet load-test --json` prints."""
    command = [sys.executable, "-m", "serving.client", "load-test", "heavy", "--address", address, "--json"]
    flags = ["--rate", f"{rate:.3f}", "--seconds", f"{LOAD_SECONDS}", "--deadline-ms", f"{DEADLINE_MS}"]
    ended = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return json.loads(ended.stdout)


def test_goodput_is_at_least_nine_tenths_of_capacity(overloaded):
    capacity, step = overloaded
    assert step["goodput_calls_per_second"] >= 0.9 * capacity


def test_what_is_answered_is_answered_within_the_deadline(overloaded):
    _, step = overloaded
    assert step["accepted_ms"]["p99"] <= DEADLINE_MS


def test_the_rest_is_refused_and_not_left_to_its_deadline(overloaded):
    _, step = overloaded
    assert step["refused"] > 0
    assert step["deadline"] <= 0.01 * step["calls"]


def test_a_refusal_comes_fast(overloaded):
    _, step = overloaded
    assert step["refused_ms"]["p99"] <= REFUSED_WITHIN_MS


def test_no_answer_is_wrong_under_load(overloaded):
    _, step = overloaded
    assert (step["wrong"], step["unchecked"]) == (0, 0)
    assert not step["generator_behind"]
