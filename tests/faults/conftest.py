"""Each promise is kept on each transport; and a server process that others go on asking while one misbehaves."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
from onnx import helper

from protos.signet.v1.prediction_pb2 import PredictRequest
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.contract.conftest import transport
from tests.contract.requests import letters, raw_tensor
from tests.contract.serving_process import serving
from tests.process_figures import ProcessFigures, process_figures

__all__ = ["transport"]

SECONDS = 30.0
DESCRIPTORS = 4096
WIDTH = 65_536


class Served:
    """A server process, and a well-behaved client of it."""

    def __init__(self, pid: int, port: int, channel: grpc.Channel) -> None:
        self.port = port
        self.prediction = PredictionStub(channel)
        self._pid = pid

    def figures(self) -> ProcessFigures:
        """What the process holds now."""
        return process_figures(self._pid)

    def answers(self) -> bool:
        """Whether others get their answers."""
        answer = self.prediction.Predict(letters([[0, 9, 0]]), timeout=SECONDS)
        return [one.label for one in answer.predictions] == ["b"]

    def eventually(self, is_so: Callable[[ProcessFigures], bool]) -> bool:
        """Whether the process's figures become so, while others are answered."""
        end = time.monotonic() + SECONDS
        while not (so := is_so(self.figures())) and time.monotonic() < end:
            assert self.answers()
        return so


@pytest.fixture(scope="module")
def served(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of `letters`, and of `wide`, which answers a number by WIDTH of them."""
    models = tmp_path_factory.mktemp("models")
    tiny.put_bare(models, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    tiny.put_bare(models, "wide", _wide_model())
    with (
        _many_descriptors(),
        serving(models, "--transport", transport) as (process, port),
        grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", -1)]) as channel,
    ):
        one = Served(process.pid, port, channel)
        assert one.answers()
        yield one
        assert process.poll() is None


def wide_request(rows: int) -> PredictRequest:
    """Asks for an answer of rows x WIDTH numbers."""
    return PredictRequest(model="wide", tensors=[raw_tensor("x", np.ones((rows, 1), np.float32))])


def _wide_model() -> bytes:
    return tiny.model_bytes(
        [helper.make_node("MatMul", ["x", "ones"], ["y"])],
        [tiny.value("x", [None, 1])],
        [tiny.value("y", [None, WIDTH])],
        {"ones": np.ones((1, WIDTH), np.float32)},
    )


@contextmanager
def _many_descriptors() -> Iterator[None]:
    """The limit that programs begin with does not hold a thousand connections; the server takes ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, DESCRIPTORS), hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
