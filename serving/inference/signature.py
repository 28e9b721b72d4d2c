"""What a model takes and gives: tensor names, datatypes, shapes.

Owns the datatype names (those of the Open Inference Protocol) and their NumPy dtypes. Does not know where a signature
comes from (a manifest, a graph) nor how tensors travel.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]
"""Arrays by tensor name."""

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "BF16": np.dtype([("bfloat16", "<u2")]),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
"""Datatype name to NumPy dtype; the elements of BYTES are str, in UTF-8 on the wire. BF16, which NumPy has not, are its
2 bytes."""


class TensorSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """One input or output. In `shape`, -1 is a free dimension; axis 0 is rows where it is free."""

    name: Annotated[str, Meta(min_length=1)]
    datatype: str
    shape: tuple[Annotated[int, Meta(ge=-1)], ...]

    def __post_init__(self) -> None:
        """Raise ValueError for a datatype that nobody knows."""
        if self.datatype not in DATATYPES:
            raise ValueError(f"datatype {self.datatype[:64]!r} came; one of {', '.join(DATATYPES)} was expected")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the datatype."""
        return DATATYPES[self.datatype]

    @property
    def free_rows(self) -> bool:
        """Whether axis 0 exists and is free."""
        return bool(self.shape) and self.shape[0] == -1

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of `shape` fits."""
        return len(shape) == len(self.shape) and all(
            want in (-1, got) for want, got in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        return f"{self.name} {self.datatype} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a model, in the order of its graph."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def input(self, name: str) -> TensorSpec | None:
        """The input of that name, or None."""
        for spec in self.inputs:
            if spec.name == name:
                return spec
        return None

    def rows(self, inputs: Tensors) -> int:
        """How many rows `inputs` holds: their common axis 0, or 1 where the model has no free axis 0."""
        first = self.inputs[0]
        return len(inputs[first.name]) if first.free_rows else 1
