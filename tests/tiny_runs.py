"""Finished training runs of untrained tiny nets on drawn rows: an image task and a feature task."""

from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from training.task import Dataset, Recipe, Rows, RunRecord, Task


def image_run(
    test_rows: int = 30, class_indices: dict[str, int] | None = None, **changes: Any
) -> tuple[keras.Model, RunRecord]:
    """A softmax net on 6x6 grey pixels, three classes."""
    inputs = keras.Input((6, 6, 1), dtype="uint8", name="pixels")
    hidden = keras.layers.Rescaling(1 / 255)(inputs)
    hidden = keras.layers.Conv2D(3, 3, activation="relu")(hidden)
    hidden = keras.layers.BatchNormalization()(hidden)
    hidden = keras.layers.Flatten()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="classes")(hidden))
    generator = np.random.default_rng(5)
    pixels = generator.integers(0, 256, (test_rows, 6, 6, 1), dtype=np.uint8)
    rows = Rows(pixels, generator.integers(0, 3, test_rows))
    task = {
        "name": "dots",
        "title": "Dots in three classes",
        "input_name": "image",
        "output_name": "probabilities",
        "decision": {"kind": "argmax"},
        "preprocessing": {
            "kind": "image",
            "input": "image",
            "height": 6,
            "width": 6,
            "color_mode": "grayscale",
            "other_size": "resize",
            "alpha_background": 255,
            "exif_orientation": True,
        },
    }
    labels = class_indices or {"circle": 0, "rectangle": 1, "triangle": 2}
    return model, _run(model, rows, task, labels, changes)


def feature_run(test_rows: int = 20, **changes: Any) -> tuple[keras.Model, RunRecord]:
    """A sigmoid net on four numbers that it normalises itself."""
    inputs = keras.Input((4,), name="numbers")
    scaled = keras.layers.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0])(inputs)
    hidden = keras.layers.Dense(3, activation="relu")(scaled)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    generator = np.random.default_rng(6)
    rows = Rows(generator.normal(size=(test_rows, 4)).astype(np.float32), generator.integers(0, 2, test_rows))
    task = {
        "name": "tides",
        "title": "High or low tide",
        "input_name": "features",
        "output_name": "probability",
        "decision": {"kind": "sigmoid", "threshold": 0.5},
        "preprocessing": {
            "kind": "features",
            "input": "features",
            "features": [{"name": f"gauge {index}", "minimum": -3.0, "maximum": 3.0} for index in range(4)],
        },
    }
    return model, _run(model, rows, task, {"low": 0, "high": 1}, changes)


def _run(
    model: keras.Model, rows: Rows, task: dict[str, Any], class_indices: dict[str, int], changes: dict[str, Any]
) -> RunRecord:
    recipe = Recipe("tiny", "an untrained net", 2, 8, 3, lambda _: model, lambda *_: {})
    words: dict[str, Any] = {
        "task": Task(
            load=lambda *_: Dataset(rows, rows, rows, class_indices, "drawn"),
            recipes={"tiny": recipe},
            default_recipe="tiny",
            course_figure="50.00 % (15 of 30)",
            **task,
        ),
        "recipe": recipe,
        "dataset": Dataset(rows, rows, rows, class_indices, "drawn for a test"),
        "history": {"loss": [0.9, 0.7], "accuracy": [0.4, 0.6], "val_loss": [1.0, 0.8], "val_accuracy": [0.3, 0.5]},
        "metrics": {"accuracy": 0.25, "loss": 1.25},
        "scores": np.asarray(model(rows.inputs, training=False), dtype=np.float32),
        "command": "signet-train dots --recipe tiny",
        "seed": 3,
        "epochs": 2,
        "started": datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
        "seconds": 12.5,
    }
    return RunRecord(**{**words, **changes})
