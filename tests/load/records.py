"""`make records-check`: the packages at hand, verified and measured in minutes.

    python -m tests.load.records [--models models] [--record]

Of the newest package of each recipe: checksums, golden rows, the test split through a running server against the
package's report and the recorded result, rows a second in-process and served. Prints a table and writes
build/records.json; --record puts the figures into training/results, from which README's table is made. The exit code
is 1 if anything differs.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from serving.client.client import Client
from serving.client.evaluate import predicted_classes
from serving.client.package import EvaluationPackage, read_package
from serving.errors import ServingError
from tests.contract.serving_process import serving
from tests.load.bench_in_process import InProcess
from training.manifest_writer import checksums, read_manifest
from training.results import FOLDER, machine, read_result, write_result
from training.staging import versions

RESULT = Path("build") / "records.json"
CALLERS, ROWS_PER_CALL = 4, 64
IN_PROCESS_ROWS = (1, 64)
READY_SECONDS = 120.0
INT8 = "-int8"


@dataclass(frozen=True)
class Length:
    """How long to measure: turns, and seconds of each measurement in a turn."""

    turns: int = 5
    seconds: float = 1.0


@dataclass(frozen=True)
class RecordedPackage:
    """The newest package of a recipe. `numbers`: fp32 or int8."""

    folder: Path
    manifest: dict[str, Any]
    recipe: str
    numbers: str


def main(arguments: list[str]) -> int:
    """Check, print, write; give the exit code."""
    parser = argparse.ArgumentParser(prog="records-check", description="Verify and measure the packages at hand.")
    parser.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="the repository")
    parser.add_argument("--model", default="fashion_mnist", metavar="NAME", help="whose packages")
    parser.add_argument("--results", type=Path, default=FOLDER, metavar="DIR", help="the recorded results")
    parser.add_argument("--record", action="store_true", help="put the figures into --results")
    flags = parser.parse_args(arguments)
    packages = recorded_packages(flags.models / flags.model)
    if not packages:
        sys.stderr.write(f"records-check: {flags.models / flags.model} holds no package of a recipe; make records\n")
        return 1
    checked = list(check_packages(flags.models, packages, flags.results, Length()))
    console = Console()
    console.print(_table(checked))
    for one in checked:
        for sentence in one["wrong"]:
            told = f"{one['recipe']} {one['numbers']}, version {one['version']}: {sentence}"
            console.print(told, markup=False, highlight=False, soft_wrap=True)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"machine": machine(), "packages": checked}, indent=2) + "\n", encoding="utf-8")
    if flags.record:
        record(checked, flags.model, flags.results)
    return int(any(one["wrong"] for one in checked))


def recorded_packages(model_folder: Path) -> list[RecordedPackage]:
    """The newest package of each recipe, in the order of their versions."""
    newest: dict[tuple[str, str], RecordedPackage] = {}
    for version in versions(model_folder):
        folder = model_folder / str(version)
        manifest = read_manifest(folder)
        if manifest and "recipe" in manifest:
            recipe = str(manifest["recipe"]).removesuffix(INT8)
            numbers = "int8" if manifest["recipe"].endswith(INT8) else "fp32"
            newest[recipe, numbers] = RecordedPackage(folder, manifest, recipe, numbers)
    return sorted(newest.values(), key=lambda one: int(one.folder.name))


def check_packages(
    models: Path, packages: list[RecordedPackage], results: Path, length: Length
) -> Iterator[dict[str, Any]]:
    """What is found of each package: its figures, and in `wrong` a sentence for each thing that differs."""
    with (
        # Without a model that is whole it serves too: what is wrong with each is told by its own error.
        serving(models, "--version-policy", "all", "--allow-empty", "--access-log", "off") as (_, port),
        Client(f"127.0.0.1:{port}") as client,
    ):
        client.wait_ready(READY_SECONDS)
        for package in packages:
            wrong = _unlike_the_manifest(package)
            found: dict[str, Any] = {
                "recipe": package.recipe,
                "numbers": package.numbers,
                "version": int(package.folder.name),
                "bytes": (package.folder / "model.onnx").stat().st_size,
            }
            try:
                split = read_package(package.folder)
                found |= _served(client, split, package, results, wrong)
                found["rows_per_second"] = _rates(client, split, package.folder / "model.onnx", length)
            except ServingError as error:
                wrong.append(str(error))
            yield {**found, "wrong": wrong}


def record(checked: list[dict[str, Any]], model: str, results: Path) -> None:
    """Put the figures of each right package beside the recorded run of its recipe."""
    circumstances = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": machine()}
    for recipe in {one["recipe"] for one in checked}:
        path = results / f"{model}_{recipe}.json"
        right = {one["numbers"]: one for one in checked if one["recipe"] == recipe and not one["wrong"]}
        if right and path.exists():
            figures = {
                numbers: {**{name: one[name] for name in one if name not in {"recipe", "wrong"}}, **circumstances}
                for numbers, one in right.items()
            }
            write_result(results, model, recipe, {"packages": figures})


def _unlike_the_manifest(package: RecordedPackage) -> list[str]:
    stated, found = package.manifest["files"], checksums(package.folder)
    wrong = [f"{name}: its checksum differs" for name in stated if found.get(name) != stated[name]]
    if wrong:
        return wrong
    with np.load(package.folder / "golden.npz") as golden:
        arrays = {name.partition(".")[0]: golden[name] for name in golden.files}
    outputs = InProcess(package.folder / "model.onnx").outputs(arrays["input"])
    difference = float(np.max(np.abs(outputs - arrays["output"])))
    tolerance = package.manifest["golden"]["tolerance"]["cpu"]
    return [] if difference <= tolerance else [f"golden rows differ by {difference:g}, over {tolerance:g}"]


def _served(
    client: Client, split: EvaluationPackage, package: RecordedPackage, results: Path, wrong: list[str]
) -> dict[str, Any]:
    right, rows = int(np.count_nonzero(predicted_classes(client, split) == split.truth)), len(split.truth)
    if right != split.report_right:
        wrong.append(f"served, {right} of {rows} are right; its report states {split.report_right}")
    path = results / f"{split.model}_{package.recipe}.json"
    recorded = read_result(path).get("run") if path.exists() else None
    if recorded and package.numbers == "fp32" and recorded["test"]["correct"] != right:
        wrong.append(f"served, {right} of {rows} are right; {path.name} records {recorded['test']['correct']}")
    return {"correct": right, "rows": rows, "accuracy": right / rows}


def _rates(client: Client, split: EvaluationPackage, model: Path, length: Length) -> dict[str, Any]:
    """Rows a second, medians over turns, so that what else the machine does meets all alike."""
    (inputs,) = split.inputs.values()
    rows = {count: np.resize(inputs, (count, *inputs.shape[1:])) for count in IN_PROCESS_ROWS}
    alone = InProcess(model)
    served = []
    for _ in range(length.turns):
        for few in rows.values():
            alone.measure(few, length.seconds)
        served.append(_served_rows_per_second(client, split, rows[ROWS_PER_CALL], length.seconds))
    in_process = {str(count): round(alone.best(count)[0], 1) for count in rows}
    return {"in_process": in_process, "served": round(statistics.median(served), 1)}


def _served_rows_per_second(client: Client, split: EvaluationPackage, rows: Any, seconds: float) -> float:
    (name,) = split.inputs
    started = time.perf_counter()

    def ask(_: int) -> int:
        calls = 0
        while time.perf_counter() - started < seconds:
            client.predict(split.model, {name: rows}, version=split.version)
            calls += 1
        return calls

    with ThreadPoolExecutor(CALLERS) as pool:
        calls = sum(pool.map(ask, range(CALLERS)))
    return calls * len(rows) / (time.perf_counter() - started)


def _table(checked: list[dict[str, Any]]) -> Table:
    table = Table(title="packages")
    for column in ("recipe", "version", "right", "rows/s alone: 1, 64", "served", "MiB", ""):
        table.add_column(column)
    for one in checked:
        rates = one.get("rows_per_second")
        table.add_row(
            f"{one['recipe']} {one['numbers']}",
            str(one["version"]),
            f"{one['correct']:,} of {one['rows']:,}" if "correct" in one else "-",
            ", ".join(f"{rate:,.0f}" for rate in rates["in_process"].values()) if rates else "-",
            f"{rates['served']:,.0f}" if rates else "-",
            f"{one['bytes'] / 1024**2:.2f}",
            "wrong" if one["wrong"] else "right",
        )
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
