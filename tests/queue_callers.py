"""Callers of numbered rows for tests of the queue, and what comes of their runs."""

import asyncio

import numpy as np

from serving.inference.row_queue import RowQueue
from serving.inference.waiting import NORMAL, Share, Waiting

NEVER = float("inf")


def caller_of(
    loop: asyncio.AbstractEventLoop,
    rows: int,
    first: int = 0,
    width: int = 1,
    deadline: float = NEVER,
    arrived: float = 0.0,
    priority: int = NORMAL,
):
    """A caller of rows numbered from `first`."""
    x = np.repeat(np.arange(first, first + rows)[:, None], width, axis=1)
    return Waiting({"x": x}, rows, (width,), deadline, arrived, loop.create_future(), priority)


def drained(queue: RowQueue, now: float = 0.0) -> list[list[Share]]:
    """Every run that the queue still gives."""
    runs = []
    while shares := queue.take(now):
        runs.append(shares)
    return runs


def numbers(shares: list[Share]) -> list[int]:
    return [int(row) for share in shares for row in share.inputs["x"][:, 0]]


def run(shares: list[Share]) -> None:
    """Answer each share by its own numbers."""
    for share in shares:
        share.caller.deliver({"y": share.inputs["x"] * 10}, share.start, share.rows)


def learn(queue: RowQueue, row_seconds: float) -> None:
    """Let the queue see some runs, which took so long for each row; the first one is not believed."""
    for _ in range(3):
        queue.finish(4, 4 * row_seconds)
