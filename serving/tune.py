"""`signet-serve tune MODEL`: measures a model on this machine and prints the settings to serve it with.

Owns what is measured, the table, and the choice. Does not know the server: it runs the server's session in a loop.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from serving.inference.batchable import made_up_rows, unbatched_reason
from serving.inference.cores import available_cores
from serving.inference.lane_runs import LaneRuns
from serving.inference.run_plan import Open, RunPlan, plan_runs, repeated_rows
from serving.inference.session import OnnxSession, SessionError, SessionSettings
from serving.inference.signature import Tensors
from serving.repository.folders import versions_on_disk

MODEL = "model.onnx"
BATCH_ROWS = (1, 4, 16, 64, 256)
AUTO = 0
"""Instead of a number of threads: those that the server chooses by itself, which may be more for more rows."""
ROUNDS = 5
ROUND_SECONDS = 0.06
RUNS_IN_P99 = 2
"""A caller waits for the run that is under way, then for its own."""
AS_GOOD = 0.9
"""Rows a second, as a part of the most, from which on fewer rows or threads are the better choice."""


class CannotTune(Exception):
    """What is wrong with the model or the flags, in words for the operator."""


@dataclass(frozen=True, slots=True)
class Point:
    """What runs of `rows` rows with `threads` threads, or AUTO, take: the median, in milliseconds."""

    rows: int
    threads: int
    run_ms: float

    @property
    def rows_per_second(self) -> float:
        """Rows a second, one run after the other."""
        return self.rows / self.run_ms * 1e3


def tune(arguments: Sequence[str]) -> str | None:
    """Measure, and print a table and the settings; or say what is wrong. `--help` and unknown flags end the process."""
    flags = _parser().parse_args(arguments)
    try:
        points = measure(find_model(flags.model, flags.models), thread_counts(available_cores()))
        best = choose(points, flags.p99_ms)
    except (CannotTune, SessionError) as error:
        return f"tune: {flags.model}: {error}"
    console = Console(soft_wrap=True)
    console.print(_table(points, best))
    threads = "" if best.threads == AUTO else f" --intra-op-threads {best.threads}"
    console.print(f"signet-serve{threads} --max-batch-rows {best.rows}")
    return None


def find_model(model: str, repository: Path) -> Path:
    """The ONNX file of a path (the file, its version's folder, its model's folder), or of a name in `repository`.

    Raises CannotTune if there is none.
    """
    for path in (Path(model), repository / model):
        versions = sorted(versions_on_disk(path), reverse=True)
        for found in (path, path / MODEL, *(path / str(version) / MODEL for version in versions)):
            if found.is_file():
                return found
    raise CannotTune(f"neither a model in {repository} nor the path of a package or an ONNX file")


def thread_counts(cores: int) -> list[int]:
    """1, 2, 4 and so on, and all cores."""
    return sorted({cores, *(2**power for power in range(cores.bit_length()) if 2**power <= cores)})


def measure(model: Path, threads: Iterable[int]) -> list[Point]:
    """Runs of made-up rows, by rows and threads; they take turns, so that what else the machine does meets all alike.

    Beside `threads`, AUTO. Raises SessionError if the model cannot be loaded or run.
    """
    counts = list(threads)

    def open_session(count: int) -> OnnxSession:
        return OnnxSession.open(str(model), SessionSettings(count))

    sessions = {count: open_session(count) for count in counts}
    plan = _chosen_by_the_server(open_session, max(counts))
    signature = plan.session.signature
    made_up = made_up_rows(signature)
    free = all(spec.free_rows for spec in signature.inputs)
    points = []
    with ExitStack() as stack:
        lanes = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(plan.lanes)]
        ways: dict[int, Callable[[Tensors], object]] = {AUTO: LaneRuns(plan.session, lanes, plan.thread_rows).run}
        ways.update({count: session.run for count, session in sessions.items()})
        for rows in BATCH_ROWS if free else (signature.inputs[0].shape or (1,))[:1]:
            seconds = _in_turns(ways, repeated_rows(made_up, signature, rows))
            points += [Point(rows, count, taken * 1e3) for count, taken in seconds.items()]
    return points


def _in_turns(ways: Mapping[int, Callable[[Tensors], object]], inputs: Tensors) -> dict[int, float]:
    """The median seconds of a run in each of these ways."""
    taken: dict[int, list[float]] = {count: [] for count in ways}
    for _ in range(ROUNDS):
        for count, run in ways.items():
            run(inputs)
            runs, started = 0, time.perf_counter()
            while (seconds := time.perf_counter() - started) < ROUND_SECONDS:
                run(inputs)
                runs += 1
            taken[count].append(seconds / runs)
    return {count: statistics.median(times) for count, times in taken.items()}


def _chosen_by_the_server(open_session: Open, threads: int) -> RunPlan:
    plan = plan_runs(open_session, threads, max(BATCH_ROWS), None, measure=True)
    return plan.unbatched() if unbatched_reason(plan.session) else plan


def choose(points: Iterable[Point], p99_ms: float | None) -> Point:
    """The settings for these measurements.

    Without `p99_ms`, the fewest rows and then threads that give about the most rows a second; AUTO before any number.
    With it, the most rows of which a run takes at most half of that, and the fewest threads that are about as fast.
    Raises CannotTune if even the shortest run is too long.
    """
    measured = list(points)
    if p99_ms is None:
        return _least_as_good(measured)
    fit = [point for point in measured if point.run_ms * RUNS_IN_P99 <= p99_ms]
    if not fit:
        shortest = min(point.run_ms for point in measured)
        raise CannotTune(
            f"--p99-ms is {p99_ms:g}, but a caller may wait for two runs, and the shortest takes {shortest:.3g} ms"
        )
    most = max(point.rows for point in fit)
    return _least_as_good([point for point in fit if point.rows == most])


def _least_as_good(points: Sequence[Point]) -> Point:
    """The fewest rows that give about the most rows a second, and the fewest threads about as good with those."""
    fewest = min(point.rows for point in _as_good(points))
    good = _as_good([point for point in points if point.rows == fewest])
    return min(good, key=lambda point: point.threads)


def _as_good(points: Sequence[Point]) -> list[Point]:
    most = max(point.rows_per_second for point in points)
    return [point for point in points if point.rows_per_second >= AS_GOOD * most]


def _table(points: Sequence[Point], best: Point) -> Table:
    table = Table(caption="efficiency: rows a second by threads times those of one thread", caption_justify="left")
    for heading in ("rows", "threads", "ms a run", "rows/s", "efficiency", ""):
        table.add_column(heading, justify="right")
    one_thread = {point.rows: point.rows_per_second for point in points if point.threads == 1}
    for point in points:
        table.add_row(
            f"{point.rows}",
            "auto" if point.threads == AUTO else f"{point.threads}",
            f"{point.run_ms:.3g}",
            f"{point.rows_per_second:,.0f}",
            "" if point.threads == AUTO else f"{point.rows_per_second / point.threads / one_thread[point.rows]:.0%}",
            "best" if point == best else "",
        )
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signet-serve tune", description="Measure a model on this machine and print the settings to serve it with."
    )
    parser.add_argument("model", help="a model's name in the repository, or the path of a package or an ONNX file")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the repository (default: models)")
    parser.add_argument(
        "--p99-ms", type=_milliseconds, help="the time within which callers shall be answered: bounds the rows of a run"
    )
    return parser


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} came; milliseconds over 0 were expected")
    return value
