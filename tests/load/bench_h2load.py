"""Unary calls at full speed, by h2load.

Owns the command, and what its log of calls says. Does not know what is called.
"""

import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MISSING = "h2load is missing: it comes with nghttp2-client (apt-get install nghttp2-client), elsewhere with nghttp2"
PREFIX_BYTES = 5
CALLERS_PER_CONNECTION = 16
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Call:
    """A request, and the size of its one right answer; every call of a measurement is this one."""

    method: str
    message: bytes
    answer_bytes: int


@dataclass(frozen=True)
class Load:
    """What came of so many calls. `seconds` from the first request to the last answer; `latencies_ms` [calls]."""

    calls: int
    seconds: float
    latencies_ms: NDArray[np.float64]
    errors: int


def h2load(port: int, call: Call, callers: int, calls: int) -> Load:
    """Make so many calls, `callers` at a time, 16 at most on a connection.

    An answer is right if it has the size of the right one: a status other than OK comes without a message. Raises
    RuntimeError if h2load is missing or fails.
    """
    if shutil.which("h2load") is None:
        raise RuntimeError(MISSING)
    connections = -(-callers // CALLERS_PER_CONNECTION)
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(b"\0" + struct.pack(">I", len(call.message)) + call.message)
        command = ["h2load", f"--requests={calls}", f"--clients={connections}", "--threads=1"]
        command += [f"--max-concurrent-streams={callers // connections}", f"--data={body}", f"--log-file={log}"]
        command += ["--header=content-type: application/grpc", "--header=te: trailers"]
        command.append(f"http://127.0.0.1:{port}{call.method}")
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        traffic = re.search(r"\((\d+)\) data", ended.stdout)
        if ended.returncode or traffic is None:
            raise RuntimeError(f"h2load failed: {ended.stderr or ended.stdout}")
        started, _, microseconds = np.loadtxt(log, dtype=np.int64, ndmin=2).T
    right = int(traffic[1]) // (PREFIX_BYTES + call.answer_bytes)
    seconds = float((started + microseconds).max() - started.min()) / 1e6
    return Load(calls, seconds, microseconds / 1e3, calls - right)
