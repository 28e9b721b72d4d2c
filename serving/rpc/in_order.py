"""Many requests of one stream at once, their answers in the order of the requests.

Owns the window. Does not know messages.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable


async def in_order(
    items: AsyncIterator[bytes], work: Callable[[bytes], Awaitable[bytes]], window: int
) -> AsyncIterator[bytes]:
    """The results of `work` in the order of `items`, up to `window` of them worked on at once."""
    results: asyncio.Queue[asyncio.Future[bytes] | None] = asyncio.Queue()
    room = asyncio.Semaphore(window)

    async def read() -> None:
        try:
            async for item in items:
                await room.acquire()
                results.put_nowait(asyncio.ensure_future(work(item)))
        finally:
            results.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (result := await results.get()) is not None:
            yield await result
            room.release()
        await reader
    finally:
        reader.cancel()
        while not results.empty():
            if (left := results.get_nowait()) is not None:
                left.cancel()
