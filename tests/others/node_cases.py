"""The node cases of the `onnx` package: models of one operator each, with recorded inputs.

Owns which of them can be asked in dense tensors, and what they are asked. Does not know the server.
"""

import importlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from onnx.backend.test.case import node

from tests.others.answers import Question

NOT_SERVED = {
    getattr(TensorProto, name)
    for name in TensorProto.DataType.keys()  # noqa: SIM118 - an enum of protobuf is no dict
    if name.startswith(("FLOAT8", "FLOAT4", "INT4", "UINT4", "INT2", "UINT2", "COMPLEX"))
}
"""Types that the wire has no name for."""

NAME_LENGTH = 128


def node_cases() -> list[Any]:
    """All cases of the installed package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases divide by zero while they are made
        return list(node.collect_testcases(None))


def node_cases_of(modules: Sequence[str]) -> list[Any]:
    """Those of some of the package's modules, which are made in less time than all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            importlib.import_module(f"{node.__name__}.{name}")
    return list(node._NodeTestCases)  # noqa: SLF001 - the package offers all or none


def why_not(case: Any) -> str:
    """Why nobody can ask the case in tensors of types that have a name on the wire; "" if one can."""
    graph = case.model.graph
    for one in (*graph.input, *graph.output):
        kind = one.type.WhichOneof("value")
        if kind != "tensor_type":
            return "a sequence or an optional"
        if one.type.tensor_type.elem_type in NOT_SERVED:
            return "a type without a name on the wire"
    return "" if graph.input else "no inputs"


def question(case: Any) -> Question:
    """The case with its recorded inputs."""
    given, _ = case.data_sets[0]
    inputs = {one.name: _array(value) for one, value in zip(case.model.graph.input, given, strict=True)}
    return Question(case.name[:NAME_LENGTH], case.model.SerializeToString(), inputs)


def with_free_rows(case: Any) -> Question | None:
    """The case with axis 0 of all inputs and outputs made free, so that it may be batched.

    None where they have different numbers of rows.
    """
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    rows = set()
    for one in (*graph.input, *graph.output):
        shape = one.type.tensor_type.shape
        if not shape.dim:
            return None
        rows.add(shape.dim[0].dim_value)
        shape.dim[0].dim_param = "rows"
    if len(rows) != 1 or rows == {0}:
        return None
    given = question(case)
    return Question(f"free_{given.name}"[:NAME_LENGTH], model.SerializeToString(), given.inputs, alone=False)


def _array(value: Any) -> np.ndarray:
    if isinstance(value, TensorProto):
        return onnx.numpy_helper.to_array(value)
    array = np.asarray(value)
    return array.astype(np.object_) if array.dtype.kind in "US" else array
