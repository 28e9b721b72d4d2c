"""The slices that the kernel gives threads."""

import ctypes
import platform
import sys

import pytest

from serving.inference.core_order import SCHED_ATTR

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}


def slice_nanoseconds(thread: int) -> int:
    """How long the kernel lets the thread run at a time, 0 is the calling one; 0 where it does not tell."""
    told = ctypes.create_string_buffer(SCHED_ATTR.size)
    ctypes.CDLL(None).syscall(SCHED_GETATTR[platform.machine()], thread, told, SCHED_ATTR.size, 0)
    return int(SCHED_ATTR.unpack(told.raw)[5])


def _has_slices() -> bool:
    return sys.platform == "linux" and platform.machine() in SCHED_GETATTR and slice_nanoseconds(0) > 0


needs_slices = pytest.mark.skipif(not _has_slices(), reason="this kernel tells no slices: Linux 6.12 and later do")
