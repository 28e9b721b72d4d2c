"""How log lines look.

Owns the one configuration of structlog and of the standard library's logging. Does not know who logs.
"""

import logging
import sys
from typing import Literal

import structlog


def configure_logs(log_format: Literal["console", "json"], level: str, worker: int | None = None) -> None:
    """Send every log line of the process to stderr in one format, from `level` on; `worker` is told in each."""

    def tell_worker(
        logger: structlog.typing.WrappedLogger,  # noqa: ARG001 - structlog's signature
        name: str,  # noqa: ARG001
        event: structlog.typing.EventDict,
    ) -> structlog.typing.EventDict:
        event.setdefault("worker", worker)
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        tell_worker,
        _without_none,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[_without_meta, last], foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _without_none(
    logger: structlog.typing.WrappedLogger,  # noqa: ARG001 - structlog's signature
    name: str,  # noqa: ARG001
    event: structlog.typing.EventDict,
) -> structlog.typing.EventDict:
    return {key: value for key, value in event.items() if value is not None}


_without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
