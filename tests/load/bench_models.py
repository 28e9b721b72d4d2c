"""The models of the benchmark: untrained nets of the recipes, exported as training exports them.

    python -m tests.load.bench_models build/bench

Owns what the three names mean. A process of its own: TensorFlow would be in the way of what is measured.
"""

import dataclasses
import sys
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from training.export import export_package
from training.nets import course_cnn, vgg7
from training.quantize import quantize
from training.row_choice import spread_rows
from training.seeding import seed_everything
from training.signature import signature_of
from training.task import Dataset, Rows, RunRecord, Task
from training.tasks.fashion_mnist import FASHION_MNIST, SHAPE
from training.tasks.pima import PIMA, build_mlp

DRAWN_ROWS = 256
SEED = 1
CLASSES = 10


def main(folder: Path) -> None:
    """Write what is missing of models/ (pima, pool and vgg, packages) and int8/ (vgg_int8, a bare ONNX file)."""
    repository = folder / "models"
    for name in ("pima", "pool", "vgg"):
        if not (repository / name / "1" / "manifest.json").is_file():
            model, run = untrained(name)
            export_package(model, run, repository, lambda *_: None)
    int8 = folder / "int8" / "vgg_int8" / "1" / "model.onnx"
    if not int8.is_file():
        model, run = untrained("vgg")
        golden = spread_rows(run.dataset.test.truth, 16)
        quantized = quantize(repository / "vgg" / "1" / "model.onnx", run, signature_of(model, run), golden)
        int8.parent.mkdir(parents=True)
        (int8.parent.parent / "labels.txt").write_text("\n".join(run.dataset.labels) + "\n", encoding="utf-8")
        int8.write_bytes(quantized.model)


def untrained(name: str) -> tuple[keras.Model, RunRecord]:
    """A net with its first weights, and a record of the run that it never had; its rows are drawn."""
    seed_everything(SEED)
    generator = np.random.default_rng(SEED)
    if name == "pima":
        labels = {"negative": 0, "positive": 1}
        features = generator.uniform(0, 1, (DRAWN_ROWS, 8)).astype(np.float32)
        dataset = _drawn(Rows(features, generator.integers(0, 2, DRAWN_ROWS)), labels)
        return _record(PIMA, "seed", build_mlp(dataset), dataset, name)
    pixels = generator.integers(0, 256, (DRAWN_ROWS, *SHAPE), dtype=np.uint8)
    labels = {f"class {index}": index for index in range(CLASSES)}
    dataset = _drawn(Rows(pixels, generator.integers(0, CLASSES, DRAWN_ROWS)), labels)
    pool = name == "pool"
    model = course_cnn(SHAPE, CLASSES, (32, 64, 128), pool=True) if pool else vgg7(SHAPE, CLASSES)
    return _record(FASHION_MNIST, "pool" if pool else "vgg7", model, dataset, name)


def _drawn(rows: Rows, labels: dict[str, int]) -> Dataset:
    return Dataset(rows, rows, rows, labels, "drawn for the benchmark")


def _record(task: Task, recipe: str, model: keras.Model, dataset: Dataset, name: str) -> tuple[keras.Model, RunRecord]:
    return model, RunRecord(
        task=dataclasses.replace(task, name=name),
        recipe=task.recipes[recipe],
        dataset=dataset,
        history={},
        metrics={},
        scores=np.asarray(model(dataset.test.inputs, training=False), dtype=np.float32),
        command="make bench",
        seed=SEED,
        epochs=0,
        started=datetime.now(UTC),
        seconds=0.0,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
