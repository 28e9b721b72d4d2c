"""Requests in the bytes that go out, and whether the bytes that come back are the right answer.

Owns what is asked before the load begins, so that every later answer has one to be compared with. Does not know rates
nor channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.signet.v1 import prediction_pb2
from serving.client import decoding, operations
from serving.client.answers import Answer, ModelDetails, RowPrediction
from serving.client.client import Client
from serving.client.encoding import Request, encode
from serving.client.load.plan import Kind
from serving.client.load.rows import Rows, made_up_rows, packaged_rows
from serving.errors import InternalError, ModelNotReady

DISTINCT_ROWS = 64
"""Rows of a model, each asked alone before the load."""

MAX_BYTES = 32 * 1024 * 1024
"""Of all requests of one kind; there is always one."""

MAX_KNOWN = 256
"""Answers of a question that are known by their bytes."""


@dataclass(slots=True, eq=False)
class Question:
    """One request, encoded, and its answer.

    `predictions` and `outputs` are what each row was answered alone, `version` by whom.
    """

    model: str
    rows: int
    message: bytes
    version: int
    predictions: tuple[RowPrediction, ...]
    outputs: dict[str, NDArray[Any]]
    tolerance: float
    _known: set[bytes] = field(default_factory=set)

    def fault(self, data: bytes) -> str | None:
        """What is wrong with an answer, in words: "" for nothing, None if another version gave it."""
        # Answers mostly repeat to the byte, and comparing those costs the generator next to nothing.
        if data in self._known:
            return ""
        try:
            answer = decoding.answer(operations.parsed(prediction_pb2.PredictResponse, data))
        except InternalError as error:
            return str(error)
        if answer.version != self.version:
            return None
        found = self._difference(answer)
        if not found and len(self._known) < MAX_KNOWN:
            self._known.add(data)
        return f"model {self.model}: {found}" if found else ""

    def _difference(self, answer: Answer) -> str:
        if len(answer.predictions) != len(self.predictions):
            return f"{len(answer.predictions)} predictions came for {self.rows} rows"
        for index, (came, expected) in enumerate(zip(answer.predictions, self.predictions, strict=True)):
            if came.label != expected.label or not abs(came.score - expected.score) <= self.tolerance:
                came_text, expected_text = (f"{one.label} {one.score:.6g}" for one in (came, expected))
                return f"row {index} of {self.rows}: {came_text} came; {expected_text} was expected"
        for name, array in self.outputs.items():
            got = answer.outputs.get(name)
            if got is None or got.shape != array.shape or not _near(got, array, self.tolerance):
                return f"output {name} for {self.rows} rows is not what the rows got before the load"
        return ""


def prepare(
    client: Client, kinds: Sequence[Kind], packages: Path | None, tolerance: float, random: np.random.Generator
) -> list[list[Question]]:
    """The questions of each kind. Asks every row once, and one question of each kind.

    Rows of a model that is not batched may depend on each other: there, each question is asked whole.
    Raises what a call raises, InvalidInput for rows that cannot be had.
    """
    rows_of: dict[str, tuple[ModelDetails, Rows, list[Answer]]] = {}
    for model in dict.fromkeys(kind.model for kind in kinds):
        details = client.model(model)
        if details.status.state != "READY":
            raise ModelNotReady(f"model {model} is {details.status.state}: {details.status.reason or 'not READY'}")
        made = packaged_rows(packages, details, DISTINCT_ROWS, random) if packages else None
        rows = made or made_up_rows(details, DISTINCT_ROWS, random)
        alone = [client.predict(model, _taken(rows, [index])) for index in range(_count(rows))]
        rows_of[model] = details, rows, alone
    questions = []
    for kind in kinds:
        details, rows, alone = rows_of[kind.model]
        picks = _picks(rows, kind.rows, random)
        asked = [client.predict(kind.model, _taken(rows, pick)) for pick in (picks[:1] if details.batched else picks)]
        answers = [[alone[index] for index in pick] for pick in picks] if details.batched else [[one] for one in asked]
        questions.append(
            [
                _question(kind, _taken(rows, pick), answer, tolerance)
                for pick, answer in zip(picks, answers, strict=True)
            ]
        )
    return questions


def _picks(rows: Rows, count: int, random: np.random.Generator) -> list[list[int]]:
    """Which rows each question of a kind has: of one row, each; of more, different ones as far as there are enough."""
    whole = _count(rows)
    if count == 1:
        return [[index] for index in range(whole)]
    row_bytes = max(1, sum(array.nbytes for array in rows.values()) // whole)
    many = max(1, min(DISTINCT_ROWS, MAX_BYTES // (row_bytes * count)))
    return [random.permutation(np.resize(np.arange(whole), max(count, whole)))[:count].tolist() for _ in range(many)]


def _question(kind: Kind, inputs: Rows, answers: Sequence[Answer], tolerance: float) -> Question:
    first = answers[0]
    return Question(
        model=kind.model,
        rows=kind.rows,
        message=encode(Request(kind.model, inputs)).SerializeToString(),
        version=first.version,
        predictions=tuple(row for answer in answers for row in answer.predictions),
        outputs={name: np.concatenate([one.outputs[name] for one in answers]) for name in first.outputs}
        if len(answers) > 1
        else first.outputs,
        tolerance=tolerance,
    )


def _taken(rows: Rows, indices: Sequence[int]) -> Rows:
    return {name: array[list(indices)] for name, array in rows.items()}


def _count(rows: Rows) -> int:
    return len(next(iter(rows.values())))


def _near(came: NDArray[Any], expected: NDArray[Any], tolerance: float) -> bool:
    if expected.dtype.kind == "f":
        return bool(np.allclose(came, expected, rtol=0, atol=tolerance, equal_nan=True))
    return bool(np.array_equal(came, expected))
