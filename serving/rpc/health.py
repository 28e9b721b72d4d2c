"""grpc.health.v1: the whole server under "", each model under its name, the health service itself under its own.

Owns what SERVING means. Does not know why a model is in its state.
"""

import asyncio
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from serving.repository.repository import ModelState, VersionStatus

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Mirrors model states. The server is SERVING once the first scan ended and a model is READY, or `allow_empty`."""

    def __init__(self, *, allow_empty: bool) -> None:
        self.servicer = _HealthServicer()
        self._allow_empty = allow_empty
        self._scanned = False
        self._draining = False
        self._ready: dict[str, set[int]] = {}
        self._updates: set[asyncio.Task[None]] = set()

    @property
    def is_serving(self) -> bool:
        """Whether the server under "" is SERVING."""
        return self._scanned and not self._draining and (self._allow_empty or any(self._ready.values()))

    async def start(self) -> None:
        """Begin as NOT_SERVING; the library would begin as SERVING.

        The health service itself is SERVING from here on: who answers is alive, without a model and while draining too.
        """
        await self.servicer.set("", _NOT_SERVING)
        await self.servicer.set(SERVICE, _SERVING)

    def update(self, status: VersionStatus) -> None:
        """Take note of a version's new state."""
        ready = self._ready.setdefault(status.name, set())
        if status.state is ModelState.READY:
            ready.add(status.version)
        else:
            ready.discard(status.version)
        self._set(status.name, serving=bool(ready))
        self._set_server()

    def end_of_scan(self) -> None:
        """Say that the first scan has ended."""
        self._scanned = True
        self._set_server()

    async def drain(self) -> None:
        """Say NOT_SERVING for good, while requests are still answered."""
        self._draining = True
        await asyncio.gather(*self._updates)
        # The library's own way would say it of the health service as well.
        for service in ("", *self._ready):
            await self.servicer.set(service, _NOT_SERVING)

    def end_watches(self) -> None:
        """End every Watch; a stop would wait for them as for requests in flight, but they never end."""
        self.servicer.end_watches()

    def _set_server(self) -> None:
        self._set("", serving=self.is_serving)

    def _set(self, service: str, *, serving: bool) -> None:
        if self._draining:
            return
        task = asyncio.ensure_future(self.servicer.set(service, _SERVING if serving else _NOT_SERVING))
        self._updates.add(task)
        task.add_done_callback(self._updates.discard)


class _HealthServicer(aio.HealthServicer):  # type: ignore[misc] # published without types
    """The library's, with streams that can be ended."""

    def __init__(self) -> None:
        super().__init__()
        self._watches: set[asyncio.Future[None]] = set()
        self._ended = False

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: ANN401, N802
        """As the library's, until `end_watches`."""
        watch = asyncio.ensure_future(super().Watch(request, context))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        try:
            await watch
        except asyncio.CancelledError:
            if not self._ended:
                raise

    def end_watches(self) -> None:
        """End every stream with OK."""
        self._ended = True
        for watch in self._watches:
            watch.cancel()
