"""`signet-train sweep`: one recipe with many seeds, side by side, and the spread of what they get.

Owns the processes, each with its share of the cores, and the table at the end. Does not know how a seed is trained.
Each process is this module again with some of the seeds (`--only`); it writes a line of JSON for each that is done.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from rich.console import Console
from rich.table import Table

from training.flags import add_recipe_flags, find_recipe, whole
from training.results import available_cores, spread
from training.task import TrainingError


def main(arguments: list[str]) -> None:
    """Run `signet-train sweep`. Raises TrainingError."""
    parser = _parser()
    flags = parser.parse_args(arguments)
    if flags.only is not None:
        _work(parser, flags)
        return
    task, recipe = find_recipe(parser, flags)
    console = Console()
    seeds = range(flags.first_seed, flags.first_seed + flags.seeds)
    clock = time.perf_counter()
    done: list[dict[str, Any]] = []
    try:
        for one in _side_by_side(arguments, seeds, min(flags.jobs, len(seeds))):
            done.append(one)
            console.print(
                f"seed {one['seed']}: {one['accuracy']:.2%} ({len(done)} of {len(seeds)} seeds done)", highlight=False
            )
    except KeyboardInterrupt:
        console.print(f"stopped: the same command goes on from {flags.checkpoints}", markup=False, soft_wrap=True)
        raise
    seconds = time.perf_counter() - clock
    done.sort(key=lambda one: int(one["seed"]))
    checkpoints = [Path(one.pop("checkpoint")) for one in done]
    console.print(_table(f"{task.name} {recipe.name}, test split", done))
    if flags.record:
        from training.recording import record_sweep  # noqa: PLC0415 - find_recipe silences TensorFlow's import

        path = record_sweep(task, recipe, done, seconds, flags.data, flags.epochs, flags.results)
        console.print(f"recorded in {path}", markup=False, soft_wrap=True)
    # Only now: until the table is there, the same command goes on, and finds each seed that is done.
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)


def _side_by_side(arguments: list[str], seeds: Sequence[int], jobs: int) -> Iterator[dict[str, Any]]:
    """Train `seeds` in `jobs` processes; give what each seed got as it ends. Raises TrainingError if one fails."""
    threads = str(max(available_cores() // jobs, 1))
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": "1",
    }
    workers = [
        subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, "-m", "training.sweep", *arguments, "--only", *(str(seed) for seed in seeds[job::jobs])],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for job in range(jobs)
    ]
    ended: queue.Queue[dict[str, Any]] = queue.Queue()
    readers = [Thread(target=_read, args=(worker, ended), daemon=True) for worker in workers]
    try:
        for reader in readers:
            reader.start()
        for _ in seeds:
            one = ended.get()
            if "error" in one:
                raise TrainingError(one["error"])
            yield one
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()


def _read(worker: "subprocess.Popen[str]", ended: "queue.Queue[dict[str, Any]]") -> None:
    """Hand on each line of a process, and if it failed without one, what it said last."""
    if worker.stdout is None or worker.stderr is None:
        return
    with worker.stdout, worker.stderr:
        for line in worker.stdout:
            ended.put(json.loads(line))
        said = worker.stderr.read().strip().splitlines()
    if worker.wait():
        last = said[-1] if said else "it said nothing"
        ended.put({"error": f"a process of the sweep ended with {worker.returncode}: {last}"})


def _work(parser: argparse.ArgumentParser, flags: argparse.Namespace) -> None:
    """Train the seeds of `--only` one after the other, and write a line of JSON for each."""
    task, recipe = find_recipe(parser, flags)
    import keras  # noqa: PLC0415

    from training.run import RunOptions, run_without_export  # noqa: PLC0415

    for seed in flags.only:
        options = RunOptions(
            repository=Path(),
            command="",
            data=flags.data,
            seed=seed,
            epochs=flags.epochs,
            checkpoints=flags.checkpoints,
            fresh=flags.fresh,
            teacher=flags.teacher,
        )
        try:
            told = run_without_export(task, recipe, options, Console(quiet=True))
        except TrainingError as error:
            told = {"error": f"seed {seed}: {error}"}
        sys.stdout.write(f"{json.dumps(told)}\n")
        sys.stdout.flush()
        keras.backend.clear_session()


def _table(title: str, done: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=title)
    for column in ("seed", "accuracy", "right", "of", "seconds"):
        table.add_column(column, justify="right")
    for one in done:
        table.add_row(
            str(one["seed"]),
            f"{one['accuracy']:.2%}",
            f"{one['correct']:,}",
            f"{one['rows']:,}",
            f"{one['seconds']:.1f}",
        )
    table.add_section()
    for name, figure in spread([one["accuracy"] for one in done]).items():
        table.add_row(name, f"{figure:.2%}")
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signet-train sweep",
        description="Train a recipe with many seeds in parallel processes and tell the spread; no package is made.",
    )
    add_recipe_flags(parser)
    parser.add_argument("--seeds", type=whole(1), default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument("--first-seed", type=whole(0), default=1, metavar="N", help="the first of them (default: 1)")
    parser.add_argument(
        "--jobs",
        type=whole(1),
        default=available_cores(),
        metavar="N",
        help="how many side by side, each with its share of the cores (default: as many as there are cores)",
    )
    parser.add_argument("--only", type=whole(0), nargs="+", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
