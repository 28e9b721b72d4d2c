"""The check before serving: recorded inputs must give the recorded outputs, on the actual provider.

Owns the comparison and its result. Does not know what happens to a version that fails.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import ModelBroken
from serving.inference.providers import GOLDEN_KEYS
from serving.inference.session import OnnxSession
from serving.inference.signature import Tensors
from serving.repository.manifest import Golden

GOLDEN = "golden.npz"


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """What the check saw: the largest absolute difference over all outputs of `rows` rows."""

    rows: int
    max_abs_difference: float
    tolerance: float


def read_golden(folder: Path) -> tuple[Tensors, Tensors]:
    """The recorded inputs and outputs by tensor name. Raises ModelBroken if golden.npz is not readable."""
    try:
        with np.load(folder / GOLDEN, allow_pickle=False) as recorded:
            arrays = dict(recorded)
    except Exception as error:
        raise ModelBroken(f"{GOLDEN} cannot be read") from error
    inputs, outputs = (
        {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        for prefix in ("input.", "output.")
    )
    return inputs, outputs


def check_golden(session: OnnxSession, golden: Golden, inputs: Tensors, expected: Tensors) -> GoldenResult:
    """Run `inputs` and compare with `expected`. Raises ModelBroken naming the output that differs and by how much."""
    tolerance = golden.tolerance[GOLDEN_KEYS[session.provider]]
    signature = session.signature
    wanted = ({spec.name for spec in signature.inputs}, {spec.name for spec in signature.outputs})
    if (set(inputs), set(expected)) != wanted:
        raise ModelBroken(f"{GOLDEN} holds other tensors than the model has")
    outputs = session.run(inputs)
    worst = 0.0
    for name, array in expected.items():
        got = outputs[name]
        if got.shape != array.shape:
            raise ModelBroken(f"golden check: output {name} is {list(got.shape)}, recorded was {list(array.shape)}")
        difference = _difference(got, array)
        if not difference <= tolerance:
            raise ModelBroken(
                f"golden check: output {name} differs by {difference:.3g} from the recorded one on {session.provider}; "
                f"at most {tolerance:.3g} is allowed"
            )
        worst = max(worst, difference)
    return GoldenResult(golden.rows, worst, tolerance)


def _difference(got: NDArray[Any], recorded: NDArray[Any]) -> float:
    """The largest absolute difference of two arrays of one shape; of texts, infinity unless all are equal."""
    if got.dtype.kind == "O":
        return 0.0 if np.array_equal(got, recorded) else float("inf")
    return float(np.max(np.abs(got.astype(np.float64) - recorded.astype(np.float64)), initial=0.0))
