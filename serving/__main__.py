"""`signet-serve`: read the settings, run until SIGTERM.

Owns exit codes: 0 after a stop that was asked for, 1 if the server cannot start, 2 for bad settings.
"""

import gc
import sys
from typing import TYPE_CHECKING

from serving.logs import Log, configure_logs

if TYPE_CHECKING:
    from serving.settings import Settings


def main() -> None:
    """Run `signet-serve`, or `signet-serve tune`."""
    # What is imported and loaded stays; to go through it again and again took a tenth of the start.
    gc.disable()
    if sys.argv[1:2] == ["tune"]:
        from serving.tune import tune  # noqa: PLC0415 - onnxruntime, which a supervisor goes without

        gc.enable()
        complaint = tune(sys.argv[2:])
        sys.exit(_complain(complaint, 1) if complaint else 0)
    from serving.settings_reading import read_settings  # noqa: PLC0415 - once the line above holds

    try:
        settings = read_settings(sys.argv[1:])
    except ValueError as error:
        sys.exit(_complain(str(error), 2))
    configure_logs(settings.log_format, settings.log_level)
    Log("signet").info("settings", **settings.plain())
    refusal = _run(settings)
    if refusal is not None:
        sys.exit(_complain(refusal, 1))


def _run(settings: "Settings") -> str | None:
    # One or the other: a supervisor is small, since it carries neither gRPC nor onnxruntime.
    if settings.workers > 1:
        from serving.supervisor import supervise  # noqa: PLC0415

        gc.enable()
        return supervise(settings)
    from serving.worker import serve_alone  # noqa: PLC0415

    return serve_alone(settings)


def _complain(text: str, code: int) -> int:
    for line in text.splitlines():
        print(f"signet-serve: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
