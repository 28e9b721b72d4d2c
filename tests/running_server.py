"""A real server on free ports, in this process, for contract tests."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving.server import Server
from serving.settings import Settings


@contextmanager
def running_server(models: Path, **settings: Any) -> Iterator[Server]:
    """Serve `models` on free loopback ports until the block ends; ready when it begins."""
    chosen = Settings(
        models=models,
        port=0,
        metrics_port=0,
        **{"poll_seconds": 0, "drain_seconds": 5.0, "access_log": "off", **settings},
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="server-loop")
    thread.start()
    server = asyncio.run_coroutine_threadsafe(_started(chosen), loop)
    try:
        running = server.result(60)
        try:
            yield running
        finally:
            asyncio.run_coroutine_threadsafe(running.stop(), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _started(settings: Settings) -> Server:
    server = Server(settings)
    await server.start()
    return server
