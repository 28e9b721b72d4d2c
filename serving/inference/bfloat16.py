"""BF16, which NumPy has not: the same 2 bytes in and out of onnxruntime.

Owns the runs of models that take or give BF16. Does not know what is computed, nor how the tensors travel.
"""

import ctypes
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serving.inference.signature import DATATYPES, Signature, Tensors

BF16 = DATATYPES["BF16"]
_ONNX_BFLOAT16 = 16
_NAME_IN_ONNXRUNTIME = "tensor(bfloat16)"


def has_bfloat16(signature: Signature) -> bool:
    """Whether an input or output is BF16."""
    return any(spec.datatype == "BF16" for spec in (*signature.inputs, *signature.outputs))


def run_bfloat16(
    session: ort.InferenceSession, output_names: list[str], inputs: Tensors, options: ort.RunOptions | None
) -> list[NDArray[Any]]:
    """As `session.run`, with BF16 among the inputs or outputs. Raises as that does."""
    values = {name: _value(array) for name, array in inputs.items()}
    return [_array(value) for value in session.run_with_ort_values(output_names, values, options)]


def _value(array: NDArray[Any]) -> ort.OrtValue:
    # order="C" keeps a scalar one, which ascontiguousarray would give an axis.
    contiguous = np.asarray(array, order="C")
    if array.dtype != BF16:
        return ort.OrtValue.ortvalue_from_numpy(contiguous)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous.view(np.uint16), _ONNX_BFLOAT16)


def _array(value: ort.OrtValue) -> NDArray[Any]:
    if value.data_type() != _NAME_IN_ONNXRUNTIME:
        array: NDArray[Any] = value.numpy()
        return array
    # onnxruntime gives such a tensor's address alone; it goes with `value`, so the bytes are copied.
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(data, BF16).reshape(value.shape())
