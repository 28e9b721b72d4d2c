"""What a worker and its supervisor say to each other: one JSON object a line, over a pair of sockets.

Owns the messages, and the worker's side of them. Does not know what is served.

    supervisor ─► worker   {"worker": 1, "settings": {…}}       first, once
                           {"scrape": 5}                        asks for the metrics
                           {"agreed": 7, "failures": […]}       every worker has applied this revision
    worker ─► supervisor   {"beat": true}                       alive; whether it is SERVING
                           {"applied": 7, "failures": […]}
                           {"scrape": 5, "text": "…"}
                           {"ready": true} or {"cannot_start": "…"}    takes calls; whether it is SERVING
"""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

BEAT_SECONDS = 0.25

MESSAGE_BYTES = 256 * 1024 * 1024
"""More than any scrape."""


async def open_channel(end: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Streams over one end of a socket pair."""
    return await asyncio.open_unix_connection(sock=end, limit=MESSAGE_BYTES)


def send(writer: asyncio.StreamWriter, **message: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """Send one message; to an end that is gone it is lost."""
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")


async def receive(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message; None when the other end is gone."""
    try:
        line = await reader.readline()
    except ConnectionError:
        return None
    return json.loads(line) if line.endswith(b"\n") else None


class WorkerChannel:
    """The worker's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._agreed = 0
        self._failures: list[str] = []
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> dict[str, Any]:
        """The first message: this worker's number and settings."""
        return await receive(self._reader) or {}

    def start(self, registry: CollectorRegistry, is_serving: Callable[[], bool], on_gone: Callable[[], None]) -> None:
        """Give signs of life, and metrics when asked; `on_gone` is called when the supervisor is no more."""
        listening = asyncio.create_task(self._listen(registry))
        self._tasks = [asyncio.create_task(self._beat(is_serving)), listening]
        listening.add_done_callback(lambda _: on_gone())

    async def close(self) -> None:
        """Send what was said, and hang up."""
        for task in self._tasks:
            task.cancel()
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return

    def tell_ready(self, *, is_serving: bool) -> None:
        """Say that the worker takes calls, and whether it is SERVING."""
        send(self._writer, ready=is_serving)

    def tell_cannot_start(self, text: str) -> None:
        """Say why the worker ends before it served."""
        send(self._writer, cannot_start=text)

    def tell_applied(self, revision: int, failures: list[str]) -> None:
        """See Team."""
        send(self._writer, applied=revision, failures=failures)

    async def agreed(self, revision: int) -> list[str]:
        """See Team."""
        while self._agreed < revision:
            self._news.clear()
            await self._news.wait()
        return self._failures

    async def _beat(self, is_serving: Callable[[], bool]) -> None:
        while True:
            send(self._writer, beat=is_serving())
            await asyncio.sleep(BEAT_SECONDS)

    async def _listen(self, registry: CollectorRegistry) -> None:
        while (message := await receive(self._reader)) is not None:
            if "scrape" in message:
                text = await asyncio.to_thread(generate_latest, registry)
                send(self._writer, scrape=message["scrape"], text=text.decode())
            else:
                self._agreed, self._failures = message["agreed"], message["failures"]
                self._news.set()
