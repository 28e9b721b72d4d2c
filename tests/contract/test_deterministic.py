"""What a row is answered does not depend on the rows beside it: nearly so by default, to the bit if asked."""

import numpy as np
import pytest
from onnx import helper

from protos.signet.v1.prediction_pb2 import PredictRequest
from tests import tiny_models as tiny
from tests.contract.conftest import connect
from tests.contract.requests import array_of, raw_tensor
from tests.running_server import running_server

ROWS, WIDTH = 48, 300

LARGEST_DIFFERENCE = 5e-6
"""Relative to the largest output; measured 8e-7 where bits differ at all."""


def touchy_model() -> bytes:
    """`x` [rows, WIDTH] → `y` [rows, 16] = x times a matrix that is no constant of the graph.

    onnxruntime multiplies one row by such a matrix in another order than several rows, so the last bits differ.
    """
    weights = np.random.default_rng(0).normal(size=(WIDTH, 16)).astype(np.float32)
    return tiny.model_bytes(
        [
            helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
            helper.make_node("Mul", ["largest", "zero"], ["nothing"]),
            helper.make_node("Add", ["weights", "nothing"], ["matrix"]),
            helper.make_node("MatMul", ["x", "matrix"], ["y"]),
        ],
        [tiny.value("x", [None, WIDTH])],
        [tiny.value("y", [None, 16])],
        {"weights": weights, "zero": np.array(0, np.float32)},
    )


@pytest.fixture(params=[False, True], ids=["by default", "deterministic"])
def server(request, tmp_path):
    """A server of `touchy`; .deterministic tells how it was started."""
    tiny.put_bare(tmp_path, "touchy", touchy_model())
    with running_server(tmp_path, deterministic=request.param) as server:
        connection = connect(server)
        connection.deterministic = request.param
        yield connection
        connection.channel.close()


def ask(server, rows: np.ndarray):
    request = PredictRequest(model="touchy", tensors=[raw_tensor("x", rows)])
    return server.prediction.Predict.future(request, timeout=60)


def answer(call) -> np.ndarray:
    return array_of(call.result().outputs[0])


def test_a_row_has_the_same_answer_alone_in_a_large_request_and_among_many_callers(server):
    rows = np.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype(np.float32)
    alone = np.concatenate([answer(ask(server, rows[n : n + 1])) for n in range(ROWS)])
    whole = answer(ask(server, rows))
    crowd = [ask(server, rows[n : n + 1]) for n in range(ROWS)]
    beside = np.concatenate([answer(call) for call in crowd])
    for together in (whole, beside):
        if server.deterministic:
            np.testing.assert_array_equal(together, alone)
        else:
            np.testing.assert_allclose(together, alone, rtol=0, atol=LARGEST_DIFFERENCE * np.abs(alone).max())
