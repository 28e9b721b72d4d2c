"""Several workers on one port: start, watch, start again, stop; one scrape for all.

Owns the signals, the port and the metrics of the whole. Does not know what is served: neither gRPC nor onnxruntime is
imported here, so that a worker costs what it costs and the supervisor next to nothing.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from serving.logs import Log
from serving.merged_metrics import MergedMetrics
from serving.metrics import SupervisorMetrics
from serving.metrics_endpoint import MetricsEndpoint
from serving.settings import Settings
from serving.shared_port import HeldPort
from serving.supervised_worker import SCRAPE_SECONDS, BackOff, SupervisedWorker

STOP_GRACE_SECONDS = 10.0
"""For what a worker does beside draining its requests and its models, each of which may take the drain time."""

_log = Log("signet")


def supervise(settings: Settings) -> str | None:
    """Serve with several workers until SIGTERM or SIGINT; why they could not start, or None."""
    if not hasattr(socket, "SO_REUSEPORT"):
        return "workers: this system cannot share a port between processes; 1 was expected"
    try:
        held = HeldPort(settings.host, settings.port)
    except OSError:
        return f"port: {settings.host}:{settings.port} cannot be listened on; is it taken?"
    try:
        return asyncio.run(Supervisor(settings, held.port).run())
    finally:
        held.close()


class Supervisor:
    """The workers of one `signet-serve`, on a `port` that is held for them."""

    def __init__(self, settings: Settings, port: int) -> None:
        self._settings = settings
        self._port = port
        self._workers = [
            SupervisedWorker(number, settings.worker_timeout_seconds, self._ready, self._agree)
            for number in range(1, settings.workers + 1)
        ]
        self._metrics = SupervisorMetrics()
        self._merged = MergedMetrics()
        self._all_ready = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self) -> str | None:
        """Serve until a signal; why it could not start, or None."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        registry = CollectorRegistry()
        registry.register(_Collector(self, loop))
        endpoint = MetricsEndpoint(registry, lambda: all(worker.is_serving for worker in self._workers))
        try:
            metrics_port = endpoint.start(settings.host, settings.metrics_port)
        except OSError as error:
            return f"metrics_port: {settings.host}:{settings.metrics_port} cannot be listened on ({error.strerror})"
        keeping = [asyncio.create_task(self._keep(worker)) for worker in self._workers]
        all_ready = asyncio.create_task(self._all_ready.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((all_ready, stopping, *keeping), return_when=asyncio.FIRST_COMPLETED)
        if all_ready.done() and not stopping.done():
            _log.info(
                "serving", host=settings.host, port=self._port, metrics_port=metrics_port, workers=settings.workers
            )
            await asyncio.wait((stopping, *keeping), return_when=asyncio.FIRST_COMPLETED)
        all_ready.cancel()
        self._stopping.set()
        refusals = await self._stop(keeping)
        await asyncio.to_thread(endpoint.close)
        return next(filter(None, refusals), None)

    async def families(self) -> list[Metric]:
        """One scrape of the whole."""
        texts = await asyncio.gather(*(worker.scrape() for worker in self._workers))
        for worker, text in zip(self._workers, texts, strict=True):
            if text is not None and worker.is_ready:
                self._merged.take(str(worker.number), text)
        self._merged.take("supervisor", generate_latest(self._metrics.registry).decode())
        return list(self._merged.families())

    async def _keep(self, worker: SupervisedWorker) -> str | None:
        """Run a worker until the whole stops; why the whole cannot start, if that is so."""
        settings = {**self._settings.plain(), "port": self._port}
        back_off = BackOff()
        while True:
            started = time.monotonic()
            reason = await worker.run(settings)
            self._departed(worker)
            if self._stopping.is_set():
                return None
            if not self._all_ready.is_set():
                return reason if worker.refusal else f"worker {worker.number} could not start: {reason}"
            pause = back_off.seconds(time.monotonic() - started)
            _log.error("worker ended", worker=worker.number, pid=worker.pid, reason=reason, pause_seconds=pause)
            try:
                await asyncio.wait_for(self._stopping.wait(), pause)
            except TimeoutError:
                self._metrics.restarts.inc()
            else:
                return None

    async def _stop(self, keeping: list[asyncio.Task[str | None]]) -> list[str | None]:
        limit = self._settings.lame_duck_seconds + 2 * self._settings.drain_seconds + STOP_GRACE_SECONDS
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=limit)
        if late:
            _log.error("workers that did not stop are killed", seconds=limit)
            for worker in self._workers:
                worker.send_signal(signal.SIGKILL)
        return await asyncio.gather(*keeping)

    def _ready(self, worker: SupervisedWorker) -> None:
        _log.info("worker ready", worker=worker.number, pid=worker.pid)
        self._count_ready()
        if all(one.is_ready for one in self._workers):
            self._all_ready.set()

    def _departed(self, worker: SupervisedWorker) -> None:
        self._merged.depart(str(worker.number))
        self._count_ready()
        self._agree()

    def _count_ready(self) -> None:
        self._metrics.workers.set(sum(worker.is_ready for worker in self._workers))

    def _agree(self) -> None:
        """Tell each worker which revision all of them have applied; one that has yet to start will read it itself."""
        revisions = [worker.revision for worker in self._workers if worker.revision is not None]
        failures = [f"worker {one.number}: {text}" for one in self._workers for text in one.failures]
        if revisions:
            for worker in self._workers:
                worker.tell_agreed(min(revisions), failures)


class _Collector(Collector):
    """Scrapes in the supervisor's loop, for the thread that answers HTTP."""

    def __init__(self, supervisor: Supervisor, loop: asyncio.AbstractEventLoop) -> None:
        self._supervisor = supervisor
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        """Every metric of the whole."""
        families = asyncio.run_coroutine_threadsafe(self._supervisor.families(), self._loop)
        yield from families.result(2 * SCRAPE_SECONDS)
