"""The light models of the `onnx` package: AlexNet to DenseNet, whole graphs of constant weights, with recorded outputs.

Owns their inputs, made as that package's own runner makes them, and the recorded outputs. Does not know the server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx.backend.test.runner import Runner

from tests.others.answers import Question, Value

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
RELATIVE_TOLERANCE = 2e-3
ABSOLUTE_TOLERANCE = 1e-7
"""Those of the package's own runner."""


@dataclass(frozen=True)
class Recorded:
    """A question and the output that came with the model."""

    question: Question
    output: np.ndarray

    def differs(self, got: dict[str, Value]) -> str:
        """Where an answer differs from the recorded one; "" if it does not."""
        (_, shape, raw), *others = got.values()
        array = np.frombuffer(raw, np.float32).reshape(shape)
        close = array.shape == self.output.shape and np.allclose(
            array, self.output, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE
        )
        return "" if close and not others else "other outputs than those recorded"


def light_models() -> Iterator[Recorded]:
    """Each model with its inputs."""
    for path in sorted(FOLDER.glob("*.onnx")):
        data = path.read_bytes()
        graph = onnx.load_from_string(data).graph
        weights = {one.name for one in graph.initializer}
        inputs = {one.name: Runner.generate_dummy_data(one) for one in graph.input if one.name not in weights}
        recorded = onnx.load_tensor(str(path.with_name(f"{path.stem}_output_0.pb")))
        yield Recorded(Question(path.stem, data, inputs), onnx.numpy_helper.to_array(recorded))
