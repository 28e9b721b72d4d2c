"""`make bench-quick` and `make bench`: the server against onnxruntime in a loop, in one run on one machine.

    python -m tests.load.bench [--long]

Prints a table and writes build/bench.json. For each line, short measurements of both transports and of onnxruntime in
this process take turns, so that what else the machine does meets all of them; the figures are medians over the turns,
the percentiles of all calls. Callers share connections by 16. Load and server share the cores.
"""

import argparse
import compileall
import json
import os
import platform
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from serving.inference.cores import available_cores
from tests.load.bench_h2load import Call, Load, h2load
from tests.load.bench_in_process import InProcess
from tests.load.bench_server import FOLDER, BenchServer, bench_server, make_models

RESULT = Path("build") / "bench.json"
TRANSPORTS = ("aio", "native")
SHAPES = ((1, 1), (16, 1), (64, 1), (4, 256))
"""Callers, and rows in each call."""
INPUTS = {"pima": "features", "pool": "image", "vgg": "image", "vgg_int8": "image"}
PACKAGES = ("grpcio", "numpy", "onnxruntime", "pygrpc-native", "uvloop")


@dataclass(frozen=True)
class Length:
    """How long to measure: turns for each line, and seconds of load and of onnxruntime in each turn."""

    turns: int
    load_seconds: float
    in_process_seconds: float


TRIAL_SECONDS = 0.2
QUICK = Length(3, 1.2, 0.2)
LONG = Length(5, 4.0, 0.5)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the server against onnxruntime in a loop.")
    parser.add_argument("--long", action="store_true", help="more and longer turns, INT8, and memory by request size")
    long = parser.parse_args().long
    _compile()
    try:
        make_models(FOLDER)
        result = _measure(LONG if long else QUICK, FOLDER / "models", ("pima", "pool", "vgg"))
        if long:
            int8 = _measure(LONG, FOLDER / "int8", ("vgg_int8",))
            result["rows"] += int8["rows"]
            result["peak_mib_by_rows_per_call"] = {rows: _peak_mib(rows) for rows in (64, 4096)}
    except RuntimeError as error:
        sys.exit(f"bench: {error}")
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _print(result)


def _compile() -> None:
    """Leave the server's bytecode beside its sources, as installing a wheel does: compiling is not part of a start."""
    for package in ("serving", "protos"):
        compileall.compile_dir(package, quiet=2)


def _measure(length: Length, models: Path, names: tuple[str, ...]) -> dict[str, Any]:
    machine = _machine()
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        servers = [stack.enter_context(bench_server(models, transport)) for transport in TRANSPORTS]
        for name in names:
            in_process = InProcess(models / name / "1" / "model.onnx")
            for callers, rows_per_call in SHAPES:
                rows += _line(length, servers, in_process, name, callers, rows_per_call)
        return {
            "machine": machine,
            "ready_seconds": round(max(server.ready_seconds for server in servers), 3),
            "rss_mib": round(max(server.peak_mib() for server in servers), 1),
            "rows": sorted(rows, key=lambda row: (names.index(row["model"]), TRANSPORTS.index(row["transport"]))),
        }


def _line(
    length: Length, servers: list[BenchServer], in_process: InProcess, name: str, callers: int, rows_per_call: int
) -> list[dict[str, Any]]:
    rows = _drawn(name, rows_per_call)
    expected = in_process.outputs(rows)
    calls = [server.checked_call(name, INPUTS[name], rows, expected) for server in servers]
    trials = [_trial(server, call, callers) for server, call in zip(servers, calls, strict=True)]
    loads: list[list[Load]] = [[] for _ in servers]
    in_process.forget()
    for _ in range(length.turns):
        in_process.measure(rows, length.in_process_seconds)
        for server, call, trial, taken in zip(servers, calls, trials, loads, strict=True):
            taken.append(h2load(server.port, call, callers, _calls_for(length.load_seconds, trial, callers)))
    alone, threads = in_process.best(rows_per_call)
    Console(stderr=True).print(f"{name}, {callers} x {rows_per_call}: in process best with {threads} threads")
    return [
        {"model": name, "transport": server.transport, "callers": callers, "rows_per_call": rows_per_call}
        | _figures(taken, rows_per_call, alone)
        for server, taken in zip(servers, loads, strict=True)
    ]


def _trial(server: BenchServer, call: Call, callers: int) -> Load:
    """Enough calls to know about the rate: a few, and where those were over at once, more."""
    load = h2load(server.port, call, callers, 2 * callers)
    enough = load.seconds >= TRIAL_SECONDS
    return load if enough else h2load(server.port, call, callers, _calls_for(TRIAL_SECONDS, load, callers))


def _figures(loads: list[Load], rows_per_call: int, in_process_rows_per_second: float) -> dict[str, float]:
    rate = statistics.median(load.calls / load.seconds for load in loads)
    p50, p99 = np.percentile(np.concatenate([load.latencies_ms for load in loads]), (50, 99))
    return {
        "calls_per_second": round(rate, 1),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "in_process_rows_per_second": round(in_process_rows_per_second, 1),
        "ratio_to_in_process": round(rate * rows_per_call / in_process_rows_per_second, 4),
        "errors": sum(load.errors for load in loads),
    }


def _calls_for(seconds: float, trial: Load, callers: int) -> int:
    """As many calls as take so long, at least two and the same number for each caller."""
    return callers * max(2, round(seconds * trial.calls / trial.seconds / callers))


def _drawn(name: str, rows: int) -> NDArray[Any]:
    generator = np.random.default_rng(2)
    if name == "pima":
        return generator.uniform(0, 1, (rows, 8)).astype(np.float32)
    return generator.integers(0, 256, (rows, 28, 28, 1), dtype=np.uint8)


def _peak_mib(rows_per_call: int) -> float:
    """The most memory of a server of its own that takes calls of so many images for pool, a caller at a time."""
    models = FOLDER / "models"
    rows = _drawn("pool", rows_per_call)
    expected = InProcess(models / "pool" / "1" / "model.onnx").outputs(rows)
    with bench_server(models, "aio") as server:
        call = server.checked_call("pool", "image", rows, expected)
        h2load(server.port, call, 1, max(8, 16384 // rows_per_call))
        return round(server.peak_mib(), 1)


def _machine() -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return {
        "cpu": next((line.split(": ", 1)[1] for line in cpus if line.startswith("model name")), platform.machine()),
        "cores": available_cores(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _print(result: dict[str, Any]) -> None:
    machine = result["machine"]
    table = Table("model", "transport", title=f"{machine['cpu']}, {machine['cores']} cores shared by load and server")
    for heading in ("callers", "rows a call", "calls/s", "p50 ms", "p99 ms", "in process rows/s", "ratio", "errors"):
        table.add_column(heading, justify="right")
    for row in result["rows"]:
        table.add_row(
            row["model"],
            row["transport"],
            f"{row['callers']}",
            f"{row['rows_per_call']}",
            f"{row['calls_per_second']:,.0f}" if row["calls_per_second"] >= 100 else f"{row['calls_per_second']:.1f}",
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
            f"{row['in_process_rows_per_second']:,.0f}",
            f"{row['ratio_to_in_process']:.3f}",
            f"{row['errors']}",
            end_section=row["callers"] == SHAPES[-1][0],
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(f"ready in {result['ready_seconds']} s with three models; {result['rss_mib']} MiB at most; {RESULT}")
    for rows, peak in result.get("peak_mib_by_rows_per_call", {}).items():
        console.print(f"calls of {rows} images: {peak} MiB at most")


if __name__ == "__main__":
    main()
