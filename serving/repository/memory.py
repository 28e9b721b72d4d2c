"""Memory: how much models may take, and its return to the system.

Owns the limit, and how the allocator treats what models are made of. Does not know how versions are unloaded.
"""

import ctypes
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from serving.errors import ModelBroken

M_MMAP_THRESHOLD = -3
"""glibc's number for mallopt."""

LARGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """What the files of all READY versions may have together, 0 is no limit; whether the least used makes room."""

    max_bytes: int = 0
    unload_least_used: bool = False

    def overflow(self, taken: Iterable[int], size: int) -> int:
        """How many bytes have to go for `size` more; raises ModelBroken if they cannot."""
        if not self.max_bytes:
            return 0
        ready = sum(taken)
        overflow = ready + size - self.max_bytes
        if overflow > 0 and not (self.unload_least_used and size <= self.max_bytes):
            raise ModelBroken(
                f"its files have {size} bytes, those of what is READY {ready}; max_models_bytes is {self.max_bytes}"
            )
        return max(0, overflow)


def keep_large_blocks_apart() -> None:
    """Let each block of LARGE_BYTES, such as weights, be mapped by itself, so that freeing it gives it back.

    glibc would raise that size to that of the largest block freed, and keep what such blocks then leave in the heaps
    of other threads: after 20 reloads of a model of 20 MB, up to 60 MB. Once in a process; elsewhere nothing.
    """
    if _MALLOPT is not None:
        _MALLOPT(M_MMAP_THRESHOLD, LARGE_BYTES)


def return_freed_memory() -> None:
    """Give back to the system what was freed, which glibc keeps where small blocks lie between; elsewhere nothing."""
    if _MALLOC_TRIM is not None:
        _MALLOC_TRIM(0)


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_MALLOC_TRIM = getattr(_LIBC, "malloc_trim", None)
_MALLOPT = getattr(_LIBC, "mallopt", None)
