"""One worker as its supervisor sees it: a process that is started, listened to, and ended if it falls silent.

Owns the process and its channel, and how long to wait before the next one. Does not know the other workers.
"""

import asyncio
import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from serving.worker_channel import BEAT_SECONDS, open_channel, receive, send

SCRAPE_SECONDS = 2.0
"""How long a worker has to give its metrics; then its last ones stand."""

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
SOUND_SECONDS = 60.0
"""One that lived so long had started well: what ended it is no reason to wait."""


class BackOff:
    """The pauses before starting a worker again: none at first, then twice as long each time it does not last."""

    def __init__(self) -> None:
        self._next_seconds = 0.0

    def seconds(self, lived_seconds: float) -> float:
        """The pause after a worker that lived so long."""
        pause = 0.0 if lived_seconds >= SOUND_SECONDS else self._next_seconds
        self._next_seconds = min(max(FIRST_DELAY_SECONDS, 2 * pause), LONGEST_DELAY_SECONDS)
        return pause


class SupervisedWorker:
    """Worker `number`, one process after the other.

    `is_ready` since the process serves; `revision` and `failures` are what it has applied of the desired state;
    `refusal` is why it could not start.
    """

    def __init__(
        self,
        number: int,
        timeout_seconds: float,
        on_ready: Callable[["SupervisedWorker"], None],
        on_applied: Callable[[], None],
    ) -> None:
        self.number = number
        self.is_ready = False
        self.is_serving = False
        self.revision: int | None = None
        self.failures: list[str] = []
        self.refusal: str | None = None
        self.pid = 0
        self._timeout_seconds = timeout_seconds
        self._on_ready = on_ready
        self._on_applied = on_applied
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._heard = False
        self._silent = False
        self._scrapes: dict[int, asyncio.Future[str | None]] = {}
        self._scrape_numbers = itertools.count()

    async def run(self, settings: dict[str, Any]) -> str:
        """Start a process, live through it; why it ended."""
        self._silent, self.refusal = False, None
        ours, theirs = socket.socketpair()
        try:
            self._process = await self._start(theirs)
        except OSError as error:
            ours.close()
            return f"it could not be started: {error}"
        self.pid = self._process.pid
        reader, self._writer = await open_channel(ours)
        send(self._writer, worker=self.number, settings=settings)
        watching = asyncio.create_task(self._watch())
        await self._listen(reader)
        code = await self._process.wait()
        watching.cancel()
        self._writer.close()
        self._forget()
        return self.refusal or self._reason(code)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if there is one."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def tell_agreed(self, revision: int, failures: list[str]) -> None:
        """Tell which revision every worker has applied."""
        if self._writer is not None:
            send(self._writer, agreed=revision, failures=failures)

    async def scrape(self) -> str | None:
        """The worker's metrics as text; None if it does not answer."""
        if not self.is_ready or self._writer is None:
            return None
        number = next(self._scrape_numbers)
        answer = self._scrapes[number] = asyncio.get_running_loop().create_future()
        send(self._writer, scrape=number)
        try:
            return await asyncio.wait_for(answer, SCRAPE_SECONDS)
        except TimeoutError:
            return None
        finally:
            self._scrapes.pop(number, None)

    async def _start(self, end: socket.socket) -> asyncio.subprocess.Process:
        with end:
            return await asyncio.create_subprocess_exec(
                *_command(end.fileno(), self.number),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[end.fileno()],
                # Ctrl-C in a terminal reaches the whole group; the supervisor is who tells the workers.
                process_group=0,
            )

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (message := await receive(reader)) is not None:
            self._heard = True
            if "beat" in message:
                self.is_serving = message["beat"]
            elif "scrape" in message:
                if (answer := self._scrapes.get(message["scrape"])) is not None and not answer.done():
                    answer.set_result(message["text"])
            elif "applied" in message:
                self.revision, self.failures = message["applied"], message["failures"]
                self._on_applied()
            elif "ready" in message:
                self.is_ready, self.is_serving = True, message["ready"]
                self._on_ready(self)
            else:
                self.refusal = message["cannot_start"]

    async def _watch(self) -> None:
        """Kill the process once it was silent for too long.

        Beats are counted, not seconds: while the supervisor itself stood still, nobody could be heard.
        """
        missed = 0
        while missed * BEAT_SECONDS < self._timeout_seconds:
            await asyncio.sleep(BEAT_SECONDS)
            missed = 0 if self._heard or not self.is_ready else missed + 1
            self._heard = False
        self._silent = True
        self.send_signal(signal.SIGKILL)

    def _forget(self) -> None:
        self.is_ready = self.is_serving = False
        self.revision, self.failures = None, []
        for answer in self._scrapes.values():
            if not answer.done():
                answer.set_result(None)

    def _reason(self, code: int) -> str:
        if self._silent:
            return f"it gave no sign of life for {self._timeout_seconds:g} seconds"
        return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"


def _command(descriptor: int, number: int) -> tuple[str, ...]:
    # With this process's path, as it may have been started from a folder or from a script.
    program = f"import gc, sys; gc.disable(); sys.path[:] = {sys.path!r}; from serving.worker import main; main()"
    return sys.executable, "-c", program, str(descriptor), f"signet-serve worker {number} of {os.getpid()}"
