"""What a model takes and gives: names, datatypes and shapes as they stand in the manifest.

Owns the step from Keras tensors to manifest tensors. Does not know files or formats.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.task import RunRecord, TrainingError

if TYPE_CHECKING:
    import keras

DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
"""NumPy's names to those of the Open Inference Protocol."""


@dataclass(frozen=True)
class TensorSignature:
    """One tensor: `shape` without the axis of rows, `dtype` as NumPy names it."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def datatype(self) -> str:
        """The name that manifest.json uses."""
        return DATATYPES[self.dtype]

    def as_manifest(self) -> dict[str, Any]:
        """The tensor as manifest.json states it, with -1 for rows."""
        return {"name": self.name, "datatype": self.datatype, "shape": [-1, *self.shape]}


@dataclass(frozen=True)
class Signature:
    """The one input and the one output of a trained model."""

    input: TensorSignature
    output: TensorSignature


def signature_of(model: "keras.Model", run: RunRecord) -> Signature:
    """Read the signature from the model, named by the task; TrainingError if the test rows would not fit into it."""
    signature = keras_signature(model, f"task {run.task.name}", run.task.input_name, run.task.output_name)
    rows, taken = run.dataset.test.inputs, signature.input
    if (str(rows.dtype), rows.shape[1:]) != (taken.dtype, taken.shape):
        raise TrainingError(
            f"task {run.task.name}: the test rows are {rows.dtype} {list(rows.shape[1:])}, "
            f"but the model takes {taken.dtype} {list(taken.shape)}"
        )
    return signature


def keras_signature(model: "keras.Model", subject: str, input_name: str, output_name: str) -> Signature:
    """Read the signature from the model, its tensors named so; TrainingError if it has not one input and one output."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise TrainingError(
            f"{subject}: the model has {len(model.inputs)} inputs and {len(model.outputs)} outputs, "
            "expected one of each"
        )
    taken, given = model.inputs[0], model.outputs[0]
    return Signature(
        tensor_signature(input_name, taken.dtype, tuple(taken.shape)),
        tensor_signature(output_name, given.dtype, tuple(given.shape)),
    )


def tensor_signature(name: str, dtype: str, shape: tuple[int | None, ...]) -> TensorSignature:
    """The tensor of a model whose only free axis is that of rows, `shape` with None for it; else TrainingError."""
    if not shape or shape[0] is not None or dtype not in DATATYPES:
        raise _not_exported(name, dtype, shape)
    sizes = tuple(size for size in shape[1:] if size is not None)
    if len(sizes) != len(shape) - 1:
        raise _not_exported(name, dtype, shape)
    return TensorSignature(name, dtype, sizes)


def _not_exported(name: str, dtype: str, shape: tuple[int | None, ...]) -> TrainingError:
    return TrainingError(
        f"tensor {name}: {dtype} {list(shape)} cannot be exported; expected rows as the only free axis, the first, "
        f"and one of {', '.join(DATATYPES)}"
    )
