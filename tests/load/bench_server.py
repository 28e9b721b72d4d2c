"""The server under the benchmark: a process of its own, its models, and what it is asked."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from protos.signet.v1.prediction_pb2 import PredictRequest, PredictResponse, Tensor
from tests.contract.serving_process import serving
from tests.load.bench_h2load import Call

FOLDER = Path("build") / "bench"
METHOD = "/signet.v1.Prediction/Predict"
DATATYPES = {"float32": "FP32", "uint8": "UINT8"}
CHECK_SECONDS = 30.0
TOLERANCE = 1e-4

Ask = Callable[..., bytes]


@dataclass(frozen=True)
class BenchServer:
    """A server that answers; `ready_seconds` from the start of its process to its health being SERVING."""

    transport: str
    pid: int
    port: int
    ready_seconds: float

    def peak_mib(self) -> float:
        """The most memory that was resident since its start, in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

    def checked_call(self, model: str, input_name: str, rows: NDArray[Any], expected: NDArray[np.float32]) -> Call:
        """A request of these rows, once the server has given `expected` for it; else RuntimeError."""
        tensor = Tensor(name=input_name, datatype=DATATYPES[str(rows.dtype)], shape=rows.shape, raw=rows.tobytes())
        request = PredictRequest(model=model, tensors=[tensor])
        with_outputs = PredictRequest(model=model, tensors=[tensor], return_outputs=True)
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            ask: Ask = channel.unary_unary(METHOD)
            told = PredictResponse.FromString(ask(with_outputs.SerializeToString(), timeout=CHECK_SECONDS))
            outputs = np.frombuffer(told.outputs[0].raw, np.float32).reshape(expected.shape)
            if not np.allclose(outputs, expected, atol=TOLERANCE) or len(told.predictions) != len(rows):
                raise RuntimeError(f"{model} on {self.transport} gives other answers than onnxruntime in this process")
            answer = ask(request.SerializeToString(), timeout=CHECK_SECONDS)
        return Call(METHOD, request.SerializeToString(), len(answer))


def make_models(folder: Path) -> None:
    """Write what is missing of the models of the benchmark, below `folder`; raises RuntimeError if that fails."""
    command = [sys.executable, "-m", "tests.load.bench_models", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"the models could not be made: {made.stderr}")


@contextmanager
def bench_server(models: Path, transport: str, *flags: str) -> Iterator[BenchServer]:
    """Serve `models` until the end of the block."""
    started = time.perf_counter()
    with serving(models, "--transport", transport, "--access-log", "off", *flags) as (process, port):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=CHECK_SECONDS
            )
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise RuntimeError(f"the server on {transport} is not SERVING")
        yield BenchServer(transport, process.pid, port, time.perf_counter() - started)
