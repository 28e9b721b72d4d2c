"""GET /metrics and GET /healthz on the metrics port.

Owns the HTTP of both. Does not know what is measured, nor what healthy means.
"""

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client.exposition import ThreadingWSGIServer, make_wsgi_app
from prometheus_client.registry import Collector

STOP_SECONDS = 0.05
"""How often the serving thread looks whether it should stop."""


class MetricsEndpoint:
    """Serves `metrics` until `close`. /healthz is 200 if `is_ready`, else 503; other paths are 404."""

    def __init__(self, metrics: Collector, is_ready: Callable[[], bool]) -> None:
        self._metrics = make_wsgi_app(metrics)
        self._is_ready = is_ready
        self._server: ThreadingWSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self, host: str, port: int) -> int:
        """Listen, and serve in a thread; the port taken. Raises OSError."""
        family, _, _, _, (address, *_) = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server_class = type("_Server", (ThreadingWSGIServer,), {"address_family": family})
        self._server = make_server(str(address), port, self._answer, server_class, _SilentHandler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=[STOP_SECONDS], name="metrics", daemon=True
        )
        self._thread.start()
        return self._server.server_port

    def close(self) -> None:
        """Stop serving; blocks for a moment."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in {"/", "/metrics"}:
            answer: Iterable[bytes] = self._metrics(environ, start_response)
            return answer
        status, text = "404 Not Found", b"GET /metrics or /healthz\n"
        if path == "/healthz":
            status, text = ("200 OK", b"ready\n") if self._is_ready() else ("503 Service Unavailable", b"not ready\n")
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
        return [text]


class _SilentHandler(WSGIRequestHandler):
    """Scrapes are not logged."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing."""
