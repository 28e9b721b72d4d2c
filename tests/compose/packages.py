"""What a trained package says of itself, as a client may know it: golden rows with their outputs, and the test split.

Owns the reading of a copied package folder, and the comparison of answers with it. Does not know containers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.client import Answer


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """`golden` and `split` [rows, ...]; `outputs` [golden rows, 1 or classes], as training recorded them."""

    model: str
    labels: dict[int, str]
    threshold: float | None
    golden: NDArray[Any]
    outputs: NDArray[np.float32]
    split: NDArray[Any]

    def expected_labels(self) -> list[str]:
        """The label of each golden row, decided from the recorded output."""
        if self.threshold is not None:
            return [self.labels[int(output[0] >= self.threshold)] for output in self.outputs]
        return [self.labels[int(index)] for index in np.argmax(self.outputs, axis=1)]

    def complaint(self, answer: Answer) -> str:
        """What is wrong with an answer to the golden rows; "" if nothing is."""
        came = [row.label for row in answer.predictions]
        if came != self.expected_labels():
            return f"{self.model}: the labels {came} came; {self.expected_labels()} were expected"
        (scores,) = answer.outputs.values()
        if not np.allclose(scores, self.outputs, atol=1e-3):
            return f"{self.model}: outputs differ from the recorded ones by {np.abs(scores - self.outputs).max():.2g}"
        return ""


def read_package(folder: Path) -> Package:
    """The package in `folder`, with one input and one output."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (taken,), (given,) = manifest["inputs"], manifest["outputs"]
    with np.load(folder / "golden.npz") as golden, np.load(folder / "evaluation.npz") as split:
        return Package(
            manifest["model"],
            {index: label for label, index in manifest["class_indices"].items()},
            manifest["decision"].get("threshold"),
            golden[f"input.{taken['name']}"],
            golden[f"output.{given['name']}"],
            split[f"input.{taken['name']}"],
        )
