"""In which numbers a net is trained: float32, or bfloat16 with float32 weights.

Owns whether this machine computes in bfloat16, and Keras' policy while a net is built for it. Does not know nets.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

FLOAT32, BFLOAT16 = "float32", "bfloat16"
_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def computes_in(wanted: str, cpu: Path = Path("/proc/cpuinfo")) -> str:
    """`wanted`, or float32 where bfloat16 is wanted of a processor that has no instructions for it.

    Emulated, it would be slower than float32. `cpu`: where Linux tells what its processor has.
    """
    if wanted != BFLOAT16:
        return wanted
    try:
        told = cpu.read_text(encoding="utf-8")
    except OSError:
        return FLOAT32
    flags = next((line for line in told.splitlines() if line.startswith("flags")), "")
    return BFLOAT16 if _FLAGS & set(flags.split()) else FLOAT32


@contextmanager
def computing_in(dtype: str) -> Iterator[None]:
    """Layers made meanwhile compute in `dtype`; their weights are float32 (Micikevicius et al., arXiv:1710.03740)."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if dtype == BFLOAT16 else dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
