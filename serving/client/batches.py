"""More rows than one message should hold: cut into parts, and the parts' answers made one again.

Owns where the cuts are, which version answers, and what of it has been answered. Does not know channels: `Client` and
`AsyncClient` send the parts.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.client.answers import Answer, Failure
from serving.client.encoding import Request
from serving.client.foreign_inputs import Columns, Frame, Picture, frame_columns, picture_bytes
from serving.errors import InternalError, InvalidInput, Overloaded, ServingError, Unavailable

DEFAULT_BATCH_ROWS = 256
BATCH_BYTES = 8 * 1024 * 1024
"""A part has no more, unless one row has."""

Progress = Callable[[int, int], None]
"""Told of the rows that are answered, and of all."""


class Batches:
    """One request's rows in parts of at most `batch_rows`, in order. One thread may read `pending` while another adds.

    The version that answers the first part answers all. Raises InvalidInput for inputs that have no rows to cut.
    """

    def __init__(self, request: Request, batch_rows: int, on_progress: Progress | None = None) -> None:
        if batch_rows < 1:
            raise InvalidInput(f"batch_rows: {batch_rows} came; 1 or more was expected")
        rows = _rows(request.inputs)
        self._request = replace(request, inputs=rows)
        self._cuts = [0, *_cuts(_row_bytes(rows), batch_rows)]
        self._answers: list[Answer] = []
        self._on_progress = on_progress

    @property
    def left(self) -> int:
        """How many parts are not answered yet."""
        return len(self._cuts) - 1 - len(self._answers)

    def next(self) -> Request:
        """The first part that is not answered yet."""
        return self._part(len(self._answers))

    def pending(self) -> Iterator[Request]:
        """Every part that is not answered yet."""
        return map(self._part, range(len(self._answers), len(self._cuts) - 1))

    def add(self, answer: Answer) -> None:
        """Note the answer to the next part."""
        if not self._answers:
            self._request = replace(self._request, version=answer.version)
        self._answers.append(answer)
        if self._on_progress is not None:
            self._on_progress(self._cuts[len(self._answers)], self._cuts[-1])

    def passes(self, outcome: Answer | Failure) -> bool:
        """Whether a stream's outcome for the next part answers it, which notes it; else the part is to be sent alone.

        Raises the error of a Failure that another try cannot help, an InvalidInput with the rows that it counts from.
        """
        if isinstance(outcome, Answer):
            self.add(outcome)
            return True
        if isinstance(outcome.error, Unavailable | Overloaded):
            return False
        raise self.located(outcome.error)

    def located(self, error: ServingError) -> ServingError:
        """The error of the next part, saying which part that is if the text may count rows."""
        if not isinstance(error, InvalidInput) or len(self._cuts) == 2:  # noqa: PLR2004 - a single part
            return error
        first, last = self._cuts[len(self._answers)], self._cuts[len(self._answers) + 1] - 1
        return InvalidInput(f"in rows {first} to {last}, counted from the first of them: {error}")

    def joined(self) -> Answer:
        """The answer to all rows."""
        first = self._answers[0]
        if len(self._answers) == 1:
            return first
        outputs = {name: self._output(name) for name in first.outputs}
        rows = tuple(row for answer in self._answers for row in answer.predictions)
        return replace(first, predictions=rows, outputs=outputs)

    def _output(self, name: str) -> NDArray[Any]:
        parts = [answer.outputs[name] for answer in self._answers]
        if any(part.ndim == 0 for part in parts):
            raise InternalError(f"output {name}: it has no rows, so that parts of it cannot be joined; use predict")
        return np.concatenate(parts)

    def _part(self, index: int) -> Request:
        start, stop = self._cuts[index], self._cuts[index + 1]
        rows: Any = self._request.inputs
        part = (
            {name: array[start:stop] for name, array in rows.items()} if isinstance(rows, Mapping) else rows[start:stop]
        )
        return replace(self._request, inputs=part)


def _rows(inputs: Any) -> Any:  # noqa: ANN401 - any Inputs
    """Inputs of which each slice is inputs again; tables as columns by name, one row as a list of it."""
    if isinstance(inputs, Frame):
        inputs = frame_columns(inputs)
    if isinstance(inputs, Mapping) and not all(isinstance(one, np.ndarray) for one in inputs.values()):
        return [inputs]
    if isinstance(inputs, str | os.PathLike | bytes | Picture):
        return [inputs]
    each: Sequence[Any] = list(inputs.values()) if isinstance(inputs, Mapping) else [inputs]
    lengths = {_length(one) for one in each}
    if len(lengths) != 1 or 0 in lengths:
        came = ", ".join(map(str, sorted(lengths))) or "no"
        raise InvalidInput(f"inputs: {came} rows came; one number of rows, 1 or more, was expected")
    return inputs


def _length(rows: Any) -> int:  # noqa: ANN401 - whatever a caller gave
    if isinstance(rows, np.ndarray):
        return len(rows) if rows.ndim else 0
    if not isinstance(rows, list | tuple | Columns):
        raise InvalidInput(f"inputs: {type(rows).__name__} came; what predict takes was expected")
    return len(rows)


def _row_bytes(rows: Any) -> Iterator[int]:  # noqa: ANN401
    """About how many bytes of a message each row takes."""
    arrays = list(rows.values()) if isinstance(rows, Mapping) else [rows] if isinstance(rows, np.ndarray) else []
    if arrays:
        return repeat(sum(array.nbytes for array in arrays) // len(arrays[0]), len(arrays[0]))
    return repeat(0, len(rows)) if isinstance(rows, Columns) else map(_image_bytes, rows)


def _image_bytes(row: object) -> int:
    if isinstance(row, bytes):
        return len(row)
    if isinstance(row, Picture):
        return picture_bytes(row)
    if isinstance(row, str | os.PathLike):
        try:
            return Path(row).stat().st_size
        except (OSError, ValueError):
            return 0
    return 0


def _cuts(row_bytes: Iterator[int], batch_rows: int) -> Iterator[int]:
    """Where each part ends."""
    part_rows = part_bytes = row = 0
    for row, size in enumerate(row_bytes):
        if part_rows == batch_rows or (part_rows and part_bytes + size > BATCH_BYTES):
            yield row
            part_rows = part_bytes = 0
        part_rows += 1
        part_bytes += size
    yield row + 1
