"""Questions to a server: models put into a repository as bare files, asked in raw tensors, compared.

Owns the repository and the calls. Does not know where the models come from.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from protos.signet.v1.models_pb2 import MODEL_STATE_READY, GetModelRequest
from protos.signet.v1.models_pb2_grpc import ModelsStub
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.others.answers import Question, Value, answered, difference, request
from tests.running_server import running_server

MODELS_AT_ONCE = 100
"""In one server: each may have a thread, and they are of many megabytes together."""

SETTINGS: dict[str, Any] = {
    "intra_op_threads": 1,
    "max_request_rows": 16_384,
    "queue_rows": 131_072,
    "allow_empty": True,
}
"""One thread, as onnxruntime here; room for the largest question, of all callers at once."""

SECONDS = 60.0

UNLIMITED = [("grpc.max_receive_message_length", -1)]

Asked = tuple[Question, str, bool]
"""What was asked, where the answer differed ("" if it agrees), and whether the model is batched."""


def ask(questions: Sequence[tuple[Question, dict[str, Value]]], transport: str, callers: int = 1) -> Iterator[Asked]:
    """Ask each question of a server, `callers` times at once; each with the answer that is expected."""
    for first in range(0, len(questions), MODELS_AT_ONCE):
        some = questions[first : first + MODELS_AT_ONCE]
        with tempfile.TemporaryDirectory() as folder:
            for question, _ in some:
                tiny.put_bare(Path(folder), question.name, question.model)
            with (
                running_server(Path(folder), transport=transport, **SETTINGS) as server,
                grpc.insecure_channel(f"127.0.0.1:{server.port}", UNLIMITED) as channel,
            ):
                for question, expected in some:
                    yield _ask(channel, question, expected, callers)


def _ask(channel: grpc.Channel, question: Question, expected: dict[str, Value], callers: int) -> Asked:
    model = ModelsStub(channel).GetModel(GetModelRequest(model=question.name), timeout=SECONDS)
    if model.status.state != MODEL_STATE_READY:
        return question, f"not served: {model.status.reason}", False
    predict: Any = PredictionStub(channel).Predict
    calls = [predict.future(request(question), timeout=SECONDS) for _ in range(callers)]
    faults = []
    for call in calls:
        try:
            faults.append(difference(question, expected, answered(call.result())))
        except grpc.RpcError as error:
            failed: Any = error
            faults.append(f"{failed.code().name}: {failed.details()}")
    return question, next(filter(None, faults), ""), model.batched
