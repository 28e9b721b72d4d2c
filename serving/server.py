"""One worker process, composed here and nowhere else: build, start, drain, stop.

Owns the order of start and stop, and the translation of settings into plain values. Does not know signals nor
processes.
"""

import asyncio
import os
from typing import TYPE_CHECKING

from serving.inference.cores import available_cores
from serving.inference.providers import ProviderSettings
from serving.inference.session import SessionSettings, check_provider
from serving.logs import Log, dropped_log_lines
from serving.metrics import Metrics
from serving.metrics_endpoint import MetricsEndpoint
from serving.repository.desired_state import StateBroken, StateFile
from serving.repository.following import StateFollower, Team
from serving.repository.loading import Loader, LoadSettings
from serving.repository.memory import MemoryLimit
from serving.repository.policy import parse_policy
from serving.repository.polling import Poller
from serving.repository.repository import ModelRepository, ModelState, VersionStatus
from serving.settings import Settings, StartError

if TYPE_CHECKING:
    from serving.listener import Listener

_log = Log("signet")


class Server:
    """A server of one repository. `start`, then `stop`; `port` and `metrics_port` are those really taken.

    One of a `team` shares its port with the others, and leaves the metrics port to the supervisor.
    """

    def __init__(self, settings: Settings, team: Team | None = None) -> None:
        self._settings = settings
        self._team = team
        self.metrics = Metrics(dropped_log_lines)
        self._loader = Loader(_load_settings(settings), self.metrics)
        self._listener: Listener | None = None
        self._follower = StateFollower(StateFile(settings.state or settings.models), team)
        self.repository = ModelRepository(
            settings.models,
            self._loader,
            self._on_change,
            settings.drain_seconds,
            self._follower,
            policy=parse_policy(settings.version_policy),
            limit=MemoryLimit(settings.max_models_bytes, settings.unload_least_used),
            on_traffic=lambda name, traffic: self.metrics.set_traffic(name, traffic.labels, traffic.split),
        )
        self._poller = Poller(settings.models, settings.poll_seconds)
        self._following: list[asyncio.Task[None]] = []
        self._endpoint: MetricsEndpoint | None = None
        self.metrics_port = settings.metrics_port

    @property
    def port(self) -> int:
        """The gRPC port."""
        return self._settings.port if self._listener is None else self._listener.port

    @property
    def is_serving(self) -> bool:
        """Whether the first scan has ended and a model is READY."""
        return self._listener is not None and self._listener.health.is_serving

    async def start(self) -> None:
        """Listen, then load the models; until the first scan has ended, health says NOT_SERVING.

        Raises StartError for a port or folder that cannot be used, ProviderUnavailable.
        """
        settings = self._settings
        check_provider(_provider_settings(settings))
        _check_folders(settings)
        if self._team is None:
            self._start_metrics()
        scan = asyncio.create_task(self._scan())
        try:
            # While models are read and opened; what is measured of them would suffer.
            with self._loader.quiet.disturbing():
                listener = await self._build_listener()
                if self._team is None:
                    await listener.start()
            await scan
            if self._team is not None:
                # Callers come at once, since others serve on this port.
                await listener.start()
        finally:
            scan.cancel()
            await asyncio.gather(scan, return_exceptions=True)
        listener.health.end_of_scan()
        self._following.append(asyncio.create_task(self._follower.follow(self.repository.follow)))
        if settings.poll_seconds:
            self._following.append(asyncio.create_task(self._poller.follow(self.repository.refresh)))
        if self._team is None:
            _log.info("serving", host=settings.host, port=self.port, metrics_port=self.metrics_port)

    async def stop(self) -> None:
        """Say NOT_SERVING, keep answering for the lame-duck time, refuse new calls, finish those in flight, unload."""
        settings = self._settings
        if self._listener is not None:
            was_serving = self.is_serving
            await self._listener.health.drain()
            # Balancers have yet to notice, unless nothing changed for them.
            await asyncio.sleep(settings.lame_duck_seconds if was_serving else 0)
            await self._listener.stop(settings.drain_seconds)
        for task in self._following:
            task.cancel()
        await self.repository.close()
        if self._endpoint is not None:
            await asyncio.to_thread(self._endpoint.close)

    async def _scan(self) -> None:
        try:
            wanted = self._follower.begin()
        except (StateBroken, OSError) as error:
            raise StartError(f"state: {error}") from error
        # Before the scan: what comes meanwhile is seen afterwards.
        self._poller.begin()
        await self.repository.scan(wanted)
        # What was asked for meanwhile: first be among those who are waited for, then look again.
        self._follower.tell_applied()
        await self._follower.catch_up(self.repository.follow)

    async def _build_listener(self) -> "Listener":
        listener_class = await asyncio.to_thread(_import_listener)
        reuse_port = self._team is not None
        self._listener = listener_class(
            self._settings, self.repository, self.metrics, reuse_port=reuse_port, cores=_cores(self._settings)
        )
        for status in self.repository.statuses():
            self._listener.health.update(status)
        return self._listener

    def _start_metrics(self) -> None:
        settings = self._settings
        self._endpoint = MetricsEndpoint(self.metrics.registry, lambda: self.is_serving)
        try:
            self.metrics_port = self._endpoint.start(settings.host, settings.metrics_port)
        except OSError as error:
            raise StartError(
                f"metrics_port: {settings.host}:{settings.metrics_port} cannot be listened on ({error.strerror})"
            ) from error

    def _on_change(self, status: VersionStatus) -> None:
        if self._listener is not None:
            self._listener.health.update(status)
        self.metrics.set_state(status.name, str(status.version), status.state)
        log = _log.error if status.state is ModelState.FAILED else _log.info
        log("model", model=status.name, version=status.version, state=str(status.state), reason=status.reason or None)


def _import_listener() -> type["Listener"]:
    from serving.listener import Listener  # noqa: PLC0415 - gRPC, and the messages of three APIs

    return Listener


def _check_folders(settings: Settings) -> None:
    state = settings.state or settings.models
    for name, folder in (("models", settings.models), ("state", state)):
        if not folder.is_dir():
            raise StartError(f"{name}: {folder} is no folder")
    if settings.allow_control and not os.access(state, os.W_OK):
        raise StartError(f"state: {state} cannot be written to, but allow_control keeps there what was asked for")


def _load_settings(settings: Settings) -> LoadSettings:
    deterministic = settings.deterministic
    cores = _cores(settings)
    threads = 1 if deterministic else cores
    return LoadSettings(
        SessionSettings(settings.intra_op_threads or threads, _provider_settings(settings), deterministic),
        1 if deterministic else settings.max_batch_rows,
        settings.queue_rows,
        measure_threads=not (settings.intra_op_threads or deterministic),
        cores=cores,
    )


def _cores(settings: Settings) -> int:
    """Of each worker."""
    return max(1, available_cores() // settings.workers)


def _provider_settings(settings: Settings) -> ProviderSettings:
    return ProviderSettings(
        choice=settings.providers,
        device_id=settings.device_id,
        gpu_memory_limit_bytes=settings.gpu_memory_limit_bytes,
        cudnn_conv_search=settings.cudnn_conv_search,
        tf32=settings.tf32,
        strict_nodes=settings.strict_nodes,
    )
