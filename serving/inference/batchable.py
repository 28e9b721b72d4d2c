"""Whether rows of several callers may share a run.

Owns the proof, made once when a model is loaded: free axis 0 everywhere, and runs of 1 + 2 rows equal to a run of 3.
Does not know the batcher that relies on it.
"""

import numpy as np

from serving.inference.session import Session, SessionError
from serving.inference.signature import Signature, Tensors, TensorSpec

PROOF_ROWS = 3
FREE_DIMENSION_SIZE = 8
"""What made-up rows take for a free dimension other than rows."""

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-5


def unbatched_reason(session: Session, rows: Tensors | None = None) -> str:
    """Why the model of `session` cannot be batched; "" if it can.

    `rows`: at least 3 real rows for each input, where the model came with some; else rows are made up.
    """
    signature = session.signature
    for spec in (*signature.inputs, *signature.outputs):
        if not spec.free_rows:
            return f"axis 0 of {spec} is not free"
    inputs = rows or made_up_rows(signature)
    try:
        whole, first, rest = (
            session.run({name: array[part] for name, array in inputs.items()})
            for part in (slice(0, 3), slice(0, 1), slice(1, 3))
        )
    except SessionError as error:
        return f"a trial run of {PROOF_ROWS} rows did not work: {error}"
    for name, array in whole.items():
        parts = (first[name], rest[name])
        if array.shape[:1] != (PROOF_ROWS,) or [len(part) for part in parts] != [1, 2]:
            return f"output {name} has other rows than the input"
        if not (_equal(array[:1], parts[0]) and _equal(array[1:], parts[1])):
            return f"output {name} of a row depends on the rows beside it"
    return ""


def made_up_rows(signature: Signature) -> Tensors:
    """PROOF_ROWS rows for each input, that differ from each other, of small values."""
    return {spec.name: _made_up(spec) for spec in signature.inputs}


def _equal(left: np.ndarray, right: np.ndarray) -> bool:
    if left.dtype.kind != "f":
        return np.array_equal(left, right)
    return left.shape == right.shape and np.allclose(
        left, right, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE, equal_nan=True
    )


def _made_up(spec: TensorSpec) -> np.ndarray:
    shape = (PROOF_ROWS, *(FREE_DIMENSION_SIZE if size == -1 else size for size in spec.shape[1:]))
    values = np.random.default_rng(0).random(shape)
    if spec.datatype == "BYTES":
        return np.full(shape, "a", dtype=np.object_)
    if spec.dtype.kind != "f":
        return (values * 2).astype(np.uint8).astype(spec.dtype)
    # Rows of other sizes, so that a scale taken from all rows of a run (dynamic quantization) shows in each of them.
    sizes = np.ldexp(1.0, -np.arange(PROOF_ROWS)).reshape(-1, *[1] * (len(shape) - 1))
    return (values * sizes).astype(spec.dtype)
