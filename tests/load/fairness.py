"""`make fairness`: whether a flood on a heavy model leaves a tiny one quick, on cores that both and the load share.

    python -m tests.load.fairness

Prints the latency of pima alone and while vgg is flooded, for each transport. The two take turns, so that what else
the machine does meets both; percentiles are medians over the turns. Ends with 1 if a p99 is more than 5 times its own
alone; without slices (Linux before 6.12) it may be.
"""

import argparse
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.load.bench_h2load import Call, Load, h2load
from tests.load.bench_in_process import InProcess
from tests.load.bench_server import FOLDER, BenchServer, bench_server, make_models

MODELS = FOLDER / "models"
TRANSPORTS = ("aio", "native")
TURNS = 7
TURN_SECONDS = 0.5
BURSTS = 8
"""Loads in which the calls of a turn are made."""
FLOODS = ((16, 1), (4, 64))
"""Callers of vgg, and rows in each call."""
FLOOD_SECONDS = 3 * TURN_SECONDS
CALLERS = (1, 16)
MOST = 5.0


@dataclass(frozen=True)
class Turns:
    """Loads of the same calls, some alone and some under a flood."""

    alone: list[Load]
    flooded: list[Load]

    def ratio(self) -> float:
        """How many times its own alone the p99 is under the flood."""
        return percentile(self.flooded, 99) / percentile(self.alone, 99)


def main() -> None:
    """Measure, print, and judge."""
    text = "Measure whether a flood on a heavy model leaves a tiny one quick."
    argparse.ArgumentParser(prog="fairness", description=text).parse_args()
    table = Table("transport", "callers", "flood", "alone p50 / p99 ms", "flooded p50 / p99 ms", "p99 ratio")
    worst = 0.0
    try:
        make_models(FOLDER)
        for transport in TRANSPORTS:
            with bench_server(MODELS, transport) as server:
                worst = max(worst, *measured_into(table, server))
    except RuntimeError as error:
        sys.exit(f"fairness: {error}")
    Console().print(table)
    if worst > MOST:
        sys.exit(f"fairness: a p99 was {worst:.1f} times its own alone; at most {MOST:g} was expected")


def measured_into(table: Table, server: BenchServer) -> list[float]:
    """Add a line for each flood and number of callers; gives the ratios."""
    ratios = []
    pima = call_of(server, "pima", "features", np.full((1, 8), 0.5, np.float32))
    for flooders, rows in FLOODS:
        vgg = call_of(server, "vgg", "image", np.full((rows, 28, 28, 1), 128, np.uint8))
        for callers in CALLERS:
            turns = measured(server, pima, callers, vgg, flooders)
            ratios.append(turns.ratio())
            cells = [f"{percentile(one, 50):.2f} / {percentile(one, 99):.2f}" for one in (turns.alone, turns.flooded)]
            flood = f"{flooders} x {rows} rows"
            table.add_row(server.transport, str(callers), flood, *cells, f"{turns.ratio():.1f}")
            Console(stderr=True).print(f"{server.transport}, {callers} callers, {flood}: {turns.ratio():.1f} times")
    return ratios


def call_of(server: BenchServer, model: str, input_name: str, rows: "np.ndarray") -> Call:
    """A request of these rows whose answer was checked."""
    return server.checked_call(model, input_name, rows, InProcess(MODELS / model / "1" / "model.onnx").outputs(rows))


def measured(server: BenchServer, call: Call, callers: int, flood: Call, flooders: int) -> Turns:
    """`call` in turns alone and under `flood`."""
    calls = calls_for(server, call, callers, TURN_SECONDS)
    # Of each load, the first calls wait for a connection: as large a part of those alone as of those under the flood.
    burst = max(callers, calls // BURSTS)
    flood_calls = calls_for(server, flood, flooders, FLOOD_SECONDS)
    turns = Turns([], [])
    with ThreadPoolExecutor(1) as pool:
        for _ in range(TURNS):
            turns.alone.extend([h2load(server.port, call, callers, burst) for _ in range(BURSTS)])
            flooding = pool.submit(h2load, server.port, flood, flooders, flood_calls)
            while not flooding.done():
                load = h2load(server.port, call, callers, burst)
                if not flooding.done():
                    turns.flooded.append(load)
            flooding.result()
    return turns


def calls_for(server: BenchServer, call: Call, callers: int, seconds: float) -> int:
    """As many calls as take so long, the same number for each caller."""
    trial = h2load(server.port, call, callers, 4 * callers)
    return callers * max(2, round(seconds * trial.calls / trial.seconds / callers))


def percentile(loads: list[Load], of: float) -> float:
    """Of the latencies in ms, the median over the loads."""
    return statistics.median(float(np.percentile(load.latencies_ms, of)) for load in loads)


if __name__ == "__main__":
    main()
