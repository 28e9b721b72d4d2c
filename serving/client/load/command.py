"""`signet load-test`: its flags, and the order of its steps.

Owns spelling and defaults of the flags and the exit code. Does not know how calls are made or counted.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from serving.client.client import Client
from serving.client.load import flag_values as read
from serving.client.load.figures import Expectations, failures, figures
from serving.client.load.generator import Generator
from serving.client.load.page import page
from serving.client.load.plan import arrivals, kinds, steps
from serving.client.load.progress import ProgressLine
from serving.client.load.questions import prepare
from serving.client.load.tables import print_figures
from serving.client.output import print_json
from serving.errors import InvalidInput

INTERRUPTED = 130
MAX_CONNECTIONS = 128
MAX_STEPS = 1000
MAX_ERRORS = 2**31


def load_test(client: Client, flags: argparse.Namespace) -> int:
    """Send the load and print what became of it: 1 if an answer was wrong or an expectation was missed."""
    lowest, highest = flags.rate
    ramp = steps(lowest, highest, flags.steps, flags.seconds)
    if flags.models and flags.mix:
        raise InvalidInput("load-test: MODELs and --mix came; one of them was expected")
    if flags.html and not flags.html.absolute().parent.is_dir():
        raise InvalidInput(f"--html {flags.html}: there is no folder {flags.html.parent}")
    weights = dict(flags.mix) or dict.fromkeys(flags.models or _ready_models(client), 1.0)
    mix = kinds(weights, flags.rows)
    random = np.random.default_rng(flags.seed)
    questions = prepare(client, mix, flags.packages, flags.tolerance, random)
    plan = [(step, arrivals(step, mix, random)) for step in ramp]
    progress = ProgressLine(ramp)
    generator = Generator(
        replace(client.connection, connections=flags.connections),
        questions,
        deadline_seconds=flags.deadline_ms / 1000,
        on_progress=progress,
    )
    records, finished = generator.run(plan)
    progress.close()
    told = figures(records, mix, finished=finished, max_late_ms=flags.max_late_ms)
    failed = failures(told, _expectations(flags))
    told["failures"] = failed
    if flags.json:
        print_json(told)
    else:
        print_figures(told, failed)
    if flags.html:
        _write(flags.html, page(told, failed, _title(weights, flags)))
    return int(bool(failed)) if finished else INTERRUPTED


def add_flags(one: argparse.ArgumentParser) -> None:
    """The flags of `signet load-test`."""
    one.add_argument("models", nargs="*", metavar="MODEL", help="models to call, evenly (default: each READY one)")
    add = one.add_argument
    add(
        "--mix", nargs="+", default=[], type=read.weight, metavar="MODEL=N", help="models to call, N parts of the calls"
    )
    add(
        "--rate",
        type=read.rate,
        default=(100.0, 100.0),
        metavar="N|N..M",
        help="calls/s, or a ramp of them (default: 100)",
    )
    add(
        "--steps",
        type=read.count(1, MAX_STEPS),
        default=1,
        metavar="N",
        help="steps of a ramp, both ends included (default: 1)",
    )
    add("--seconds", type=read.above_zero, default=10.0, metavar="N", help="seconds of each step (default: 10)")
    add(
        "--rows", type=read.rows, default=[1], metavar="N,N", help="rows of a call, one of these each time (default: 1)"
    )
    add(
        "--packages", type=Path, metavar="DIR", help="repository whose test splits give the rows; else they are made up"
    )
    add("--deadline-ms", type=read.above_zero, default=1000.0, metavar="N", help="deadline of a call (default: 1000)")
    add(
        "--connections",
        type=read.count(1, MAX_CONNECTIONS),
        default=4,
        metavar="N",
        help="connections to the server (default: 4)",
    )
    add(
        "--seed",
        type=read.count(0, MAX_ERRORS),
        default=1,
        metavar="N",
        help="seed of arrivals, mix and rows (default: 1)",
    )
    add(
        "--tolerance",
        type=read.above_zero,
        default=1e-4,
        metavar="X",
        help="how far a score may be from what its row got alone before the load (default: 0.0001)",
    )
    add(
        "--max-late-ms",
        type=read.above_zero,
        default=10.0,
        metavar="N",
        help="p99 by which this generator may itself be late before the report says so (default: 10)",
    )
    add(
        "--expect-p99-ms",
        type=read.above_zero,
        metavar="X",
        help="fail if the p99 of answered calls is over X in a step",
    )
    add(
        "--expect-goodput",
        type=read.goodput,
        metavar="N|N%",
        help="fail if fewer calls/s, or a smaller part of those sent, are answered well in a step",
    )
    add(
        "--max-errors",
        type=read.count(0, MAX_ERRORS),
        metavar="N",
        help="fail if more calls are neither answered nor refused",
    )
    add("--html", type=Path, metavar="FILE", help="write a page with charts too")


def _ready_models(client: Client) -> list[str]:
    names = [status.model for status in client.models() if status.is_default and status.state == "READY"]
    if not names:
        raise InvalidInput("load-test: no MODEL came, and the server has none that is READY")
    return names


def _expectations(flags: argparse.Namespace) -> Expectations:
    goodput, is_share = flags.expect_goodput or (None, False)
    return Expectations(flags.expect_p99_ms, goodput, is_share, flags.max_errors)


def _title(weights: dict[str, float], flags: argparse.Namespace) -> str:
    mix = ", ".join(weights) if len(set(weights.values())) == 1 else ", ".join(f"{k} {v:g}" for k, v in weights.items())
    return f"{mix} at {flags.address}; deadline {flags.deadline_ms:g} ms, seed {flags.seed}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"--html {path}: cannot be written: {error.strerror}") from error
