"""Mutated messages to a server process over gRPC; what became of them, and what must not happen.

Owns the sending, and which outcomes are faults: INTERNAL and UNKNOWN, no answer in DEADLINE_SECONDS, a stream that
ends, a process that ends, and a wrong answer to a good question asked after every CHUNK messages.
"""

import random
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from protos.inference.tensors_pb2 import ModelStreamInferResponse
from protos.signet.v1.models_pb2 import LoadModelRequest
from protos.signet.v1.models_pb2_grpc import ModelsStub
from protos.signet.v1.prediction_pb2 import PredictStreamResponse
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests.contract.requests import letters
from tests.contract.serving_process import serving
from tests.fuzz.mutations import Mutator
from tests.fuzz.seeds import Seed

if TYPE_CHECKING:
    import subprocess

CHUNK = 500
IN_FLIGHT = 64
STREAMS = 1
STREAM_MESSAGES = 16
DEADLINE_SECONDS = 10.0
NO_ANSWER = "Deadline Exceeded"
"""gRPC's own text; the server's DEADLINE_EXCEEDED, for a `timeout` that was asked for, has another."""

UNDER_CONTROL = (" is LOADING", " is UNLOADING")
"""How UNAVAILABLE ends of a model that another message has just had loaded or unloaded."""

FAULTS = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "CANCELLED", "DATA_LOSS", "ABORTED", "OUT_OF_RANGE"})
STREAM_ANSWERS: dict[str, Any] = {
    "signet.v1.Prediction/PredictStream": PredictStreamResponse,
    "inference.GRPCInferenceService/ModelStreamInfer": ModelStreamInferResponse,
}
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
STATUS_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


@dataclass(frozen=True)
class Target:
    """A server process under test, and the last lines of its log."""

    process: "subprocess.Popen[str]"
    channel: grpc.Channel
    log: "deque[str]"

    def answers(self) -> bool:
        """Whether a good question is answered rightly."""
        answer = PredictionStub(self.channel).Predict(letters([[0, 9, 0]]), timeout=DEADLINE_SECONDS)
        return self.process.poll() is None and [row.label for row in answer.predictions] == ["b"]


@dataclass
class Tally:
    """Outcomes of messages by status, and faults, each with what was sent in hexadecimal digits."""

    outcomes: "Counter[str]" = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, code: str, text: str, method: str, sent: Sequence[bytes]) -> None:
        """Count an outcome of one message, or of a whole stream of them."""
        self.outcomes[code] += 1
        if text.endswith(UNDER_CONTROL):
            return
        if code in FAULTS or (code == "DEADLINE_EXCEEDED" and text == NO_ANSWER):
            self.faults.append(f"{method}: {code} {text!r} for {' '.join(one.hex() or '(nothing)' for one in sent)}")


@contextmanager
def target(models: Path, *flags: str) -> Iterator[Target]:
    """A server of `models` in a process of its own."""
    with (
        serving(models, "--access-log", "off", *flags) as (process, port),
        grpc.insecure_channel(f"127.0.0.1:{port}", UNLIMITED) as channel,
    ):
        log: deque[str] = deque(maxlen=60)
        reader = threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True)
        reader.start()
        yield Target(process, channel, log)


def fuzz(served: Target, seeds: Sequence[Seed], messages: int, seed: int, *, control: bool = False) -> Tally:
    """Send so many mutations of `seeds`; stops after a chunk with faults. `control`: models may be loaded, unloaded."""
    tally = Tally()
    draw = random.Random(seed)
    mutator = Mutator(seed, [one.message for one in seeds])
    for first in range(0, messages, CHUNK):
        sent = 0
        while sent < min(CHUNK, messages - first):
            unary = [draw.choice(seeds) for _ in range(IN_FLIGHT)]
            calls = [one for one in unary if not one.stream]
            streams = [one for one in unary if one.stream][:STREAMS]
            sent += _unary(served.channel, [(one.method, mutator.mutated(one.message)) for one in calls], tally)
            for one in streams:
                same = [other for other in seeds if other.method == one.method]
                sent += _stream(
                    served.channel,
                    one.method,
                    [mutator.mutated(draw.choice(same).message) for _ in range(STREAM_MESSAGES)],
                    tally,
                )
        _check(served, tally, control=control)
        if tally.faults:
            break
    return tally


def _unary(channel: Any, messages: Sequence[tuple[str, bytes]], tally: Tally) -> int:
    calls: list[tuple[str, bytes, Any]] = [
        (method, data, channel.unary_unary(f"/{method}").future(data, timeout=DEADLINE_SECONDS))
        for method, data in messages
    ]
    for method, data, call in calls:
        tally.add(call.code().name, call.details() or "", method, [data])
    return len(calls)


def _stream(channel: Any, method: str, messages: Sequence[bytes], tally: Tally) -> int:
    """A stream must answer each message, good or bad, and end well."""
    call: Any = channel.stream_stream(f"/{method}")(iter(messages), timeout=DEADLINE_SECONDS)
    answers: list[bytes] = []
    try:
        answers.extend(call)
    except grpc.RpcError:
        # However a stream ends but well, it has failed those of its messages that were not answered.
        tally.add("UNKNOWN", f"the stream ended with {call.code().name} {call.details()}", method, messages)
        return len(messages)
    if len(answers) != len(messages):
        tally.add("UNKNOWN", f"{len(answers)} answers came in a stream of {len(messages)}", method, messages)
    for data, answer in zip(messages, answers, strict=False):
        tally.add(*_outcome(STREAM_ANSWERS[method].FromString(answer)), method, [data])
    return len(messages)


def _outcome(answer: Any) -> tuple[str, str]:
    if isinstance(answer, PredictStreamResponse):
        if answer.HasField("error"):
            return STATUS_NAMES[answer.error.code], answer.error.message
        return "OK", ""
    text = answer.error_message
    return ("INTERNAL" if text == "internal error" else "refused in a stream") if text else "OK", text


def _check(served: Target, tally: Tally, *, control: bool) -> None:
    try:
        if control:
            ModelsStub(served.channel).LoadModel(LoadModelRequest(model="letters"), timeout=DEADLINE_SECONDS)
        if not served.answers():
            tally.faults.append("a good question got a wrong answer")
    except grpc.RpcError as error:
        failed: Any = error
        tally.faults.append(f"a good question got {failed.code().name} {failed.details()}")
