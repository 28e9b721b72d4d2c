"""`make demo`: train what models/ lacks, serve it, ask it, and show each answer beside the truth.

Owns the order and what is printed. Does not know how a model is trained or served: it starts the programs that a user
would start, and asks with the client that a user would use.
"""

import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.client import Client, RowPrediction
from serving.errors import ServingError

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "models"
PROGRAMS = Path(sys.executable).parent
TASKS = ("pima", "shapes", "fashion_mnist")
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Package:
    """The newest version of a model: its folder, manifest, and test split (`rows` as the model takes them, `truth`)."""

    folder: Path
    manifest: dict[str, Any]
    rows: NDArray[Any]
    truth: NDArray[np.int64]

    def label(self, index: int) -> str:
        """The true label of test row `index`."""
        labels = {number: label for label, number in self.manifest["class_indices"].items()}
        return str(labels[int(self.truth[index])])

    def one_of_each(self, most: int) -> list[int]:
        """The first test row of each class, in the order of the test split, `most` at most."""
        _, first = np.unique(self.truth, return_index=True)
        return sorted(first.tolist())[:most]


def main() -> None:
    """Run the demonstration; exit with 1 and a sentence if a program that it starts does not do its part."""
    started = time.monotonic()
    for task in TASKS:
        if _version_folder(task) is None:
            _train(task)
    packages = {task: _read_package(task) for task in TASKS}
    try:
        with _served() as address, Client(address) as client:
            client.wait_ready(60.0)
            _print_line("model", "what was asked", "answer", "score", "truth", "then")
            _ask_pima(client, packages["pima"])
            _ask_shapes(client, packages["shapes"])
            _ask_fashion_mnist(client, packages["fashion_mnist"])
    except ServingError as error:
        sys.exit(f"demo: {error}")
    print("\nHow each model was trained, and what it gets wrong:")
    for package in packages.values():
        print(f"  {(package.folder / 'report' / 'report.html').relative_to(ROOT)}")
    print(f"\nDone in {time.monotonic() - started:.0f} s. `make serve` serves these models.")


def _version_folder(task: str) -> Path | None:
    manifests = [path for path in (MODELS / task).glob("*/manifest.json") if path.parent.name.isdecimal()]
    return max((path.parent for path in manifests), key=lambda folder: int(folder.name), default=None)


def _train(task: str) -> None:
    print(f"$ signet-train {task} --out models", flush=True)
    ended = subprocess.run([PROGRAMS / "signet-train", task, "--out", "models"], cwd=ROOT, check=False)
    if ended.returncode != 0:
        sys.exit(f"demo: signet-train {task} ended with {ended.returncode}; what it says above is the reason")


def _read_package(task: str) -> Package:
    folder = _version_folder(task)
    if folder is None:
        sys.exit(f"demo: signet-train {task} left no version in {MODELS / task}")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    with np.load(folder / "evaluation.npz") as split:
        return Package(folder, manifest, split[f"input.{manifest['preprocessing']['input']}"], split["truth"])


@contextmanager
def _served() -> Iterator[str]:
    port, metrics_port = _free_ports(2)
    command = ["signet-serve", "--models", "models", "--host", HOST, "--port", port, "--metrics-port", metrics_port]
    print(f"\n$ {' '.join(command)}\n", flush=True)
    server = subprocess.Popen([PROGRAMS / command[0], *command[1:], "--log-level", "warning"], cwd=ROOT)
    try:
        yield f"{HOST}:{port}"
    finally:
        server.terminate()
        server.wait()


def _free_ports(count: int) -> list[str]:
    with ExitStack() as held:  # until the last is known, so that they differ
        sockets = [held.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [str(taken.getsockname()[1]) for taken in sockets]


def _ask_pima(client: Client, package: Package) -> None:
    names = [feature["name"] for feature in package.manifest["preprocessing"]["features"]]
    for index in package.one_of_each(2):
        row = dict(zip(names, package.rows[index].tolist(), strict=True))
        shown = ", ".join(f"{name} {row[name]:g}" for name in ("glucose", "bmi", "age") if name in row)
        _print_answer("pima", shown, client.predict("pima", row, top_k=3).predictions[0], package.label(index))


def _ask_shapes(client: Client, package: Package) -> None:
    for index in package.one_of_each(3):
        file = io.BytesIO()
        Image.fromarray(package.rows[index]).save(file, "PNG")
        answer = client.predict("shapes", file.getvalue(), top_k=3)
        _print_answer("shapes", f"PNG of test drawing {index}", answer.predictions[0], package.label(index))


def _ask_fashion_mnist(client: Client, package: Package) -> None:
    chosen = package.one_of_each(10)
    answer = client.predict("fashion_mnist", package.rows[chosen], top_k=3)
    for index, prediction in zip(chosen, answer.predictions, strict=True):
        _print_answer("fashion_mnist", f"pixels of test image {index}", prediction, package.label(index))


def _print_answer(model: str, asked: str, prediction: RowPrediction, truth: str) -> None:
    mark = "" if prediction.label == truth else "  <- wrong"
    then = ", ".join(f"{other.label} {other.score:.3f}" for other in prediction.top[1:])
    _print_line(model, asked, prediction.label, f"{prediction.score:.3f}", truth, then + mark)


def _print_line(model: str, asked: str, answer: str, score: str, truth: str, then: str) -> None:
    print(f"{model:<14}{asked:<34}{answer:<13}{score:<7}{truth:<13}{then}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
