"""Versions that come and go under load cost no call, no wrong answer and no memory."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
from onnx import helper

from protos.signet.v1.models_pb2 import ListModelsRequest, LoadModelRequest, ModelState
from protos.signet.v1.models_pb2_grpc import ModelsStub
from protos.signet.v1.prediction_pb2 import PredictRequest
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.contract.requests import array_of, raw_tensor
from tests.contract.serving_process import serving
from tests.process_figures import process_figures

RELOADS = 20
CALLERS = 32
CHANNELS = 8
WIDTH = 2240
"""A square matrix of so many float32 is 20 MB."""

REQUEST = PredictRequest(model="plus", tensors=[raw_tensor("x", np.zeros((1, 1), np.float32))])


@dataclass(frozen=True)
class Answered:
    """The version that answered, the number that it gave, and when the call was sent and answered."""

    version: int
    number: float
    sent: float
    received: float


def plus_model(number: int) -> bytes:
    """`x` [rows, 1] → `y` = x + number."""
    return tiny.model_bytes(
        [helper.make_node("Add", ["x", "number"], ["y"])],
        [tiny.value("x", [None, 1])],
        [tiny.value("y", [None, 1])],
        {"number": np.array([number], np.float32)},
    )


def call_until(over: threading.Event, channel: grpc.Channel) -> list[Answered]:
    predict = PredictionStub(channel).Predict
    answers = []
    while not over.is_set():
        sent = time.monotonic()
        answer = predict(REQUEST, timeout=30)
        answers.append(Answered(answer.version, array_of(answer.outputs[0]).item(), sent, time.monotonic()))
    return answers


@pytest.fixture
def channels() -> Iterator[list[grpc.Channel]]:
    """Filled by a test, closed at the end."""
    opened: list[grpc.Channel] = []
    yield opened
    for channel in opened:
        channel.close()


def connect(channels: list[grpc.Channel], port: int) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels += [grpc.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(CHANNELS)]


def test_twenty_reloads_under_thirty_two_callers_fail_none_and_answer_by_what_is_ready(transport, tmp_path, channels):
    tiny.put_bare(tmp_path, "plus", plus_model(1), 1)
    over = threading.Event()
    began, ended = {1: 0.0}, {}
    with serving(tmp_path, "--transport", transport, "--allow-control", "--poll-seconds", "0") as (_, port):
        connect(channels, port)
        load = ModelsStub(channels[0]).LoadModel
        with ThreadPoolExecutor(CALLERS) as pool:
            calling = [pool.submit(call_until, over, channels[number % CHANNELS]) for number in range(CALLERS)]
            try:
                for version in range(2, RELOADS + 2):
                    tiny.put_bare(tmp_path, "plus", plus_model(version), version)
                    began[version] = time.monotonic()
                    load(LoadModelRequest(model="plus", version=version), timeout=30)
                    ended[version - 1] = time.monotonic()
            finally:
                over.set()
            answers = [answer for one in calling for answer in one.result()]
    wrong = [
        one
        for one in answers
        if one.number != one.version
        or one.received < began[one.version]
        or one.sent > ended.get(one.version, float("inf"))
    ]
    assert wrong == []
    assert len({one.version for one in answers}) > RELOADS // 2


def states(channel: grpc.Channel) -> dict[int, str]:
    models = ModelsStub(channel).ListModels(ListModelsRequest(), timeout=30).models
    return {one.version: ModelState.Name(one.state).removeprefix("MODEL_STATE_") for one in models}


def eventually(channel: grpc.Channel, wanted: dict[int, str]) -> bool:
    end = time.monotonic() + 30
    while not (so := states(channel) == wanted) and time.monotonic() < end:
        continue
    return so


def test_versions_that_are_put_into_the_repository_take_over_under_load_and_bad_ones_do_not(
    transport, tmp_path, channels
):
    tiny.put_bare(tmp_path, "plus", plus_model(1), 1)
    over = threading.Event()
    with serving(tmp_path, "--transport", transport, "--poll-seconds", "0.1") as (_, port):
        connect(channels, port)
        with ThreadPoolExecutor(CHANNELS) as pool:
            calling = [pool.submit(call_until, over, channel) for channel in channels]
            try:
                tiny.put_bare(tmp_path, "plus", plus_model(2), 2)
                good = eventually(channels[0], {2: "READY"})
                tiny.put_bare(tmp_path, "plus", b"no model", 3)
                bad = eventually(channels[0], {2: "READY", 3: "FAILED"})
                tiny.put_bare(tmp_path, "plus", plus_model(4), 4)
                mended = eventually(channels[0], {4: "READY"})
            finally:
                over.set()
            answers = [answer for one in calling for answer in one.result()]
    assert (good, bad, mended) == (True, True, True)
    assert {one.version for one in answers} <= {1, 2, 4}
    assert [one for one in answers if one.number != one.version] == []


def put_wide(root: Path, version: int) -> None:
    weights = np.random.default_rng(version).standard_normal((WIDTH, WIDTH), np.float32)
    model = tiny.model_bytes(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [tiny.value("x", [None, WIDTH])],
        [tiny.value("y", [None, WIDTH])],
        {"weights": weights},
    )
    tiny.put_bare(root, "wide", model, version)


def test_twenty_reloads_of_a_large_model_leave_the_memory_as_it_was(transport, tmp_path, channels):
    for version in (1, 2):
        put_wide(tmp_path, version)
    # One thread, so that each load makes one session, and not two where two are measured to be faster.
    flags = ("--transport", transport, "--allow-control", "--intra-op-threads", "1")
    with serving(tmp_path, *flags) as (process, port):
        connect(channels, port)
        load = ModelsStub(channels[0]).LoadModel
        before = process_figures(process.pid).resident_mib
        for number in range(RELOADS):
            load(LoadModelRequest(model="wide", version=1 + number % 2), timeout=30)
        assert process_figures(process.pid).resident_mib <= 1.1 * before
