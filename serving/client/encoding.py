"""What a caller gives → PredictRequest.

Owns which kinds of inputs there are and how each is told from the others. Does not know channels: the one thing that it
needs from a server, the input of the model, it is given.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.signet.v1 import prediction_pb2
from serving.client.answers import ModelDetails, TensorSpec
from serving.client.foreign_inputs import Columns, Frame, Picture, frame_columns, picture_file
from serving.client.tensors import encode_tensor, fit
from serving.errors import InvalidInput, ModelBroken, ModelNotReady

Image = str | os.PathLike[str] | bytes | Picture
"""The path of an image file, its content, or a PIL image."""

Features = Mapping[str, float]

Inputs = (
    NDArray[Any] | Mapping[str, NDArray[Any] | float] | Sequence[Features] | Frame | Columns | Image | Sequence[Image]
)
"""What `predict` takes: an array for a model of one input, arrays by input name, rows of named features (a DataFrame of
pandas or polars is such rows), or images."""

_EXPECTED = (
    "an array, a dict of arrays, a dict of numbers or a list of them, a DataFrame, an image (path, bytes or PIL) or a "
    "list of them"
)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One question to a model: all that `predict` takes but the time. `version` None is the model's default."""

    model: str
    inputs: Inputs
    version: int | None = None
    top_k: int = 1
    return_scores: bool = False
    return_outputs: bool = False
    id: str = ""
    version_label: str | None = None

    @property
    def needs_input_spec(self) -> bool:
        """Whether `encode` must be given the model's input."""
        return isinstance(self.inputs, np.ndarray)

    @property
    def takes_time(self) -> bool:
        """Whether `encode` reads files or compresses images, for which an event loop should not wait."""
        return isinstance(self.inputs, str | os.PathLike | list | tuple | Picture)


def encode(request: Request, spec: TensorSpec | None = None) -> prediction_pb2.PredictRequest:
    """The message for a request; `spec` is the model's only input, for a request that needs it.

    Raises InvalidInput for inputs of no known kind, mixed kinds, an array that does not fit, an unreadable file.
    """
    message = prediction_pb2.PredictRequest(
        model=request.model,
        id=request.id,
        top_k=checked_integer("top_k", request.top_k, bits=32),
        return_scores=request.return_scores,
        return_outputs=request.return_outputs,
    )
    if request.version is not None:
        message.version = checked_integer("version", request.version, bits=64)
    if request.version_label is not None:
        message.version_label = request.version_label
    inputs: Any = request.inputs
    if spec is not None:
        message.tensors.append(encode_tensor(spec.name, fit(inputs, spec), spec.datatype))
    elif isinstance(inputs, Mapping) and inputs and all(isinstance(one, np.ndarray) for one in inputs.values()):
        message.tensors.extend(encode_tensor(name, array) for name, array in inputs.items())
    elif isinstance(inputs, Mapping):
        message.features.append(_feature_row(inputs, "features"))
    else:
        _encode_rows(message, inputs)
    return message


def checked_integer(field: str, number: int, *, bits: int) -> int:
    """`number`, an integer of so many bits; raises InvalidInput naming the field for anything else."""
    if not isinstance(number, Integral):
        raise InvalidInput(f"{field}: {number!r} came; an integer was expected")
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise InvalidInput(f"{field}: {number} came; an integer of {bits} bits was expected")
    return int(number)


def only_input(details: ModelDetails) -> TensorSpec:
    """The input that a bare array fills.

    Raises InvalidInput if the model has several, ModelBroken or ModelNotReady if it is not READY.
    """
    status = details.status
    if status.state == "FAILED":
        raise ModelBroken(f"model {status.model} version {status.version} failed to load: {status.reason}")
    if status.state != "READY":
        raise ModelNotReady(f"model {status.model} version {status.version} is {status.state}")
    if len(details.inputs) > 1:
        names = ", ".join(map(str, details.inputs))
        raise InvalidInput(f"model {status.model} takes {names}; one array came, a dict of name to array was expected")
    return details.inputs[0]


def _encode_rows(message: prediction_pb2.PredictRequest, inputs: Any) -> None:  # noqa: ANN401 - whatever a caller gave
    if isinstance(inputs, str | os.PathLike | bytes | Picture):
        message.images.append(_content(inputs))
        return
    if isinstance(inputs, Frame):
        inputs = frame_columns(inputs)
    if isinstance(inputs, Columns):
        message.features.extend(_frame_rows(inputs))
        return
    if not isinstance(inputs, list | tuple):
        raise InvalidInput(f"inputs: {type(inputs).__name__} came; {_EXPECTED} was expected")
    if not inputs:
        raise InvalidInput("inputs: an empty list came; at least 1 row was expected")
    kinds = {_kind(index, one) for index, one in enumerate(inputs)}
    if len(kinds) > 1:
        raise InvalidInput("inputs: images and features came in one list; one kind was expected")
    if kinds == {"images"}:
        message.images.extend(map(_content, inputs))
    else:
        message.features.extend(_feature_row(row, f"features[{index}]") for index, row in enumerate(inputs))


def _kind(index: int, row: object) -> str:
    if isinstance(row, Mapping):
        return "features"
    if isinstance(row, str | os.PathLike | bytes | Picture):
        return "images"
    advice = "; rows of numbers go in one NumPy array" if isinstance(row, list | tuple | np.ndarray | Real) else ""
    raise InvalidInput(
        f"inputs[{index}]: {type(row).__name__} came; a dict of features or an image was expected{advice}"
    )


def _feature_row(row: Mapping[Any, Any], field: str) -> prediction_pb2.FeatureRow:
    if not row:
        raise InvalidInput(f"{field}: an empty dict came; name to number, or name to array, was expected")
    for name, number in row.items():
        if not isinstance(name, str):
            raise InvalidInput(f"{field}: the name {name!r} is a {type(name).__name__}; a str was expected")
        if not isinstance(number, Real):
            raise InvalidInput(f"{field}: {name} is a {type(number).__name__}; a number was expected")
    try:
        return prediction_pb2.FeatureRow(values={name: float(number) for name, number in row.items()})
    except OverflowError as error:
        raise InvalidInput(f"{field}: a number is larger than a 64-bit float holds") from error


def _frame_rows(columns: Columns) -> Iterator[prediction_pb2.FeatureRow]:
    if not len(columns):
        raise InvalidInput("inputs: a DataFrame without rows came; at least 1 row was expected")
    return (prediction_pb2.FeatureRow(values=row) for row in columns.rows())


def _content(image: Image) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, Picture):
        return picture_file(image)
    try:
        return Path(image).read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"image {os.fspath(image)}: cannot be read: {_reason(error)}") from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
