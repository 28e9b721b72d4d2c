"""One server in this process, alone or as one of several workers: run it until it is asked to stop.

Owns signals and the loop. Does not know other processes, but for the channel to the supervisor.
"""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable

from serving.inference.core_order import put_callers_first
from serving.inference.providers import ProviderUnavailable
from serving.logs import configure_logs
from serving.repository.memory import keep_large_blocks_apart
from serving.server import Server
from serving.settings import Settings, StartError
from serving.worker_channel import WorkerChannel, open_channel

COLLECT_AFTER = 5_000
"""New objects after which the collector looks for circles. Our calls leave none (those of grpc.aio small ones), and by
its default of 700 a twelfth of the time of many calls at once went to looking at those under way."""

START_SWITCH_SECONDS = 0.3e-3
"""During a start: for so long a thread that imports may keep the interpreter from those that read models, and wait for
it dozens of times. The usual 5 ms made a start a twentieth longer."""

if sys.platform == "win32":
    run = asyncio.run
else:
    from uvloop import run


def serve_alone(settings: Settings) -> str | None:
    """Serve until SIGTERM or SIGINT; why the server could not start, or None."""
    prepare_process()
    try:
        run(_serve(settings))
    except (StartError, ProviderUnavailable) as error:
        return str(error)
    return None


def main() -> None:
    """Serve as a worker, without the collector until then; the first argument is the descriptor of the channel."""
    prepare_process()
    sys.exit(run(_work(socket.socket(fileno=int(sys.argv[1])))))


def prepare_process() -> None:
    """What holds for the whole process, before it has threads that talk to callers."""
    allow_many_connections()
    keep_large_blocks_apart()
    put_callers_first()


def allow_many_connections() -> None:
    """Take as many descriptors as the system lets a process have: the usual 1,024 would not hold 1,000 connections."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - where there is one

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(settings: Settings) -> None:
    await _until_stopped(Server(settings), _stop_signals())


async def _work(end: socket.socket) -> int:
    stopping = _stop_signals()
    channel = WorkerChannel(*await open_channel(end))
    first = await channel.begin()
    settings = Settings.from_plain(first["settings"])
    configure_logs(settings.log_format, settings.log_level, first["worker"])
    server = Server(settings, channel)
    # A worker without a supervisor would hold the port with nobody to stop it.
    channel.start(server.metrics.registry, lambda: server.is_serving, on_gone=stopping.set)
    try:
        await _until_stopped(server, stopping, on_start=lambda: channel.tell_ready(is_serving=server.is_serving))
    except (StartError, ProviderUnavailable) as error:
        channel.tell_cannot_start(str(error))
        return 1
    finally:
        await channel.close()
    return 0


def _stop_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def _until_stopped(server: Server, stopping: asyncio.Event, on_start: Callable[[], None] | None = None) -> None:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(START_SWITCH_SECONDS)
    starting = asyncio.create_task(server.start())
    asked_to_stop = asyncio.create_task(stopping.wait())
    try:
        try:
            await asyncio.wait((starting, asked_to_stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sys.setswitchinterval(usual)
        if starting.done():
            starting.result()
            # What is there now stays, so that the collector looks at what came later alone.
            gc.freeze()
            gc.set_threshold(COLLECT_AFTER)
            gc.enable()
            if on_start is not None:
                on_start()
            await asked_to_stop
    finally:
        starting.cancel()
        await server.stop()
