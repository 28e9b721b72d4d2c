"""`signet-serve`: read the settings, run until SIGTERM.

Owns signals and exit codes: 0 after a stop that was asked for, 1 if the server cannot start, 2 for bad settings.
"""

import asyncio
import signal
import sys

import structlog

from serving.inference.providers import ProviderUnavailable
from serving.logs import configure_logs
from serving.server import Server, StartError
from serving.settings import Settings, read_settings

if sys.platform == "win32":
    run = asyncio.run
else:
    from uvloop import run


def main() -> None:
    """Run `signet-serve`."""
    try:
        settings = read_settings(sys.argv[1:])
    except ValueError as error:
        sys.exit(_complain(str(error), 2))
    configure_logs(settings.log_format, settings.log_level)
    structlog.get_logger("signet").info("settings", **settings.model_dump(mode="json"))
    try:
        run(_serve(settings))
    except (StartError, ProviderUnavailable) as error:
        sys.exit(_complain(str(error), 1))


async def _serve(settings: Settings) -> None:
    server = Server(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    starting = asyncio.create_task(server.start())
    asked_to_stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((starting, asked_to_stop), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await asked_to_stop
    finally:
        starting.cancel()
        await server.stop()


def _complain(text: str, code: int) -> int:
    for line in text.splitlines():
        print(f"signet-serve: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
