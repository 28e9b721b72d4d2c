"""One worker process, composed here and nowhere else: build, start, drain, stop.

Owns the order of start and stop, and the translation of settings into plain values. Does not know signals nor
processes.
"""

import asyncio
import os
import ssl
from pathlib import Path

from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

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
from serving.rpc import health, models_servicer, open_inference_servicer, prediction_servicer
from serving.rpc.health import Health
from serving.rpc.methods import Methods
from serving.rpc.models_servicer import ModelsServicer
from serving.rpc.open_inference_servicer import OpenInferenceServicer
from serving.rpc.prediction_servicer import PredictionServicer
from serving.rpc.request_boundary import RequestBoundary
from serving.rpc.tensorflow_serving_servicer import TensorFlowServingServicer
from serving.rpc.transport import Tls, Transport, TransportSettings, TransportUnavailable, build_transport
from serving.settings import Settings

_log = Log("signet")


class StartError(Exception):
    """The server cannot start; the text says which setting is at fault."""


class Server:
    """A server of one repository. `start`, then `stop`; `port` and `metrics_port` are those really taken.

    One of a `team` shares its port with the others, and leaves the metrics port to the supervisor.
    """

    def __init__(self, settings: Settings, team: Team | None = None) -> None:
        self._settings = settings
        self._team = team
        self.metrics = Metrics(dropped_log_lines)
        self.health = Health(allow_empty=settings.allow_empty)
        self._follower = StateFollower(StateFile(settings.state or settings.models), team)
        self.repository = ModelRepository(
            settings.models,
            Loader(_load_settings(settings), self.metrics),
            self._on_change,
            settings.drain_seconds,
            self._follower,
            policy=parse_policy(settings.version_policy),
            limit=MemoryLimit(settings.max_models_bytes, settings.unload_least_used),
            on_traffic=lambda name, traffic: self.metrics.set_traffic(name, traffic.labels, traffic.split),
        )
        self._poller = Poller(settings.models, settings.poll_seconds)
        self._following: list[asyncio.Task[None]] = []
        self._transport: Transport | None = None
        self._endpoint: MetricsEndpoint | None = None
        self.port = settings.port
        self.metrics_port = settings.metrics_port

    async def start(self) -> None:
        """Listen, then load the models; until the first scan has ended, health says NOT_SERVING.

        Raises StartError for a port or folder that cannot be used, ProviderUnavailable.
        """
        settings = self._settings
        check_provider(_provider_settings(settings))
        _check_folders(settings)
        await self.health.start()
        if self._team is None:
            self._start_metrics()
            await self._listen()
            await self._scan()
        else:
            # Callers would come at once, since others serve on this port.
            await self._scan()
            await self._listen()
        self.health.end_of_scan()
        self._following.append(asyncio.create_task(self._follower.follow(self.repository.follow)))
        if settings.poll_seconds:
            self._following.append(asyncio.create_task(self._poller.follow(self.repository.refresh)))
        if self._team is None:
            _log.info("serving", host=settings.host, port=self.port, metrics_port=self.metrics_port)

    async def stop(self) -> None:
        """Say NOT_SERVING, keep answering for the lame-duck time, refuse new calls, finish those in flight, unload."""
        settings = self._settings
        await self.health.drain()
        await asyncio.sleep(settings.lame_duck_seconds)
        self.health.end_watches()
        if self._transport is not None:
            await self._transport.stop(settings.drain_seconds)
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

    async def _listen(self) -> None:
        self._transport = self._build_transport()
        await self._transport.start()

    def _build_transport(self) -> Transport:
        settings = self._settings
        transport = _transport(settings, reuse_port=self._team is not None)
        boundary = RequestBoundary(
            self.metrics, settings.access_log, settings.split_key, settings.max_request_seconds or float("inf")
        )
        services = self._services()
        for service, methods in services.items():
            transport.add(service, methods, boundary)
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, transport.library_server)
        if settings.reflection:
            names = (*services, health.SERVICE, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, transport.library_server)
        try:
            self.port = transport.listen(settings.host, settings.port)
        except (RuntimeError, OSError) as error:
            raise StartError(f"port: {settings.host}:{settings.port} cannot be listened on; is it taken?") from error
        return transport

    def _services(self) -> dict[str, Methods]:
        """What is served, by the name of its service; a new protocol adds itself here."""
        settings = self._settings
        limits = settings.max_request_rows, settings.max_image_pixels
        return {
            prediction_servicer.SERVICE: PredictionServicer(self.repository, *limits).methods,
            open_inference_servicer.SERVICE: OpenInferenceServicer(
                self.repository,
                self.metrics,
                settings.max_request_rows,
                lambda: self.health.is_serving,
                allow_control=settings.allow_control,
            ).methods,
            models_servicer.SERVICE: ModelsServicer(self.repository, allow_control=settings.allow_control).methods,
            **TensorFlowServingServicer(self.repository, *limits).services,
        }

    def _start_metrics(self) -> None:
        settings = self._settings
        self._endpoint = MetricsEndpoint(self.metrics.registry, lambda: self.health.is_serving)
        try:
            self.metrics_port = self._endpoint.start(settings.host, settings.metrics_port)
        except OSError as error:
            raise StartError(
                f"metrics_port: {settings.host}:{settings.metrics_port} cannot be listened on ({error.strerror})"
            ) from error

    def _on_change(self, status: VersionStatus) -> None:
        self.health.update(status)
        self.metrics.set_state(status.name, str(status.version), status.state)
        log = _log.error if status.state is ModelState.FAILED else _log.info
        log("model", model=status.name, version=status.version, state=str(status.state), reason=status.reason or None)


def _check_folders(settings: Settings) -> None:
    state = settings.state or settings.models
    for name, folder in (("models", settings.models), ("state", state)):
        if not folder.is_dir():
            raise StartError(f"{name}: {folder} is no folder")
    if settings.allow_control and not os.access(state, os.W_OK):
        raise StartError(f"state: {state} cannot be written to, but allow_control keeps there what was asked for")


def _transport(settings: Settings, *, reuse_port: bool) -> Transport:
    asked = TransportSettings(
        settings.max_message_bytes,
        _tls(settings),
        settings.compression,
        settings.max_connection_age_seconds,
        reuse_port,
    )
    try:
        return build_transport(settings.transport, asked)
    except TransportUnavailable as error:
        raise StartError(str(error)) from error


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    tls = Tls(
        _pem("tls_certificate", settings.tls_certificate),
        _pem("tls_key", settings.tls_key),
        None if settings.tls_client_ca is None else _pem("tls_client_ca", settings.tls_client_ca),
    )
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_certificate, settings.tls_key)
    except ssl.SSLError as error:
        text = f"tls_certificate: {settings.tls_certificate} and {settings.tls_key} are no certificate and its key"
        raise StartError(f"{text} ({error.reason or error})") from error
    return tls


def _pem(name: str, path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StartError(f"{name}: {path} cannot be read ({error.strerror})") from error
    if b"-----BEGIN " not in data:
        raise StartError(f"{name}: {path} is no PEM file")
    return data


def _load_settings(settings: Settings) -> LoadSettings:
    deterministic = settings.deterministic
    threads = 1 if deterministic else max(1, available_cores() // settings.workers)
    return LoadSettings(
        SessionSettings(settings.intra_op_threads or threads, _provider_settings(settings), deterministic),
        1 if deterministic else settings.max_batch_rows,
        settings.queue_rows,
        measure_threads=not (settings.intra_op_threads or deterministic),
    )


def _provider_settings(settings: Settings) -> ProviderSettings:
    return ProviderSettings(
        choice=settings.providers,
        device_id=settings.device_id,
        gpu_memory_limit_bytes=settings.gpu_memory_limit_bytes,
        cudnn_conv_search=settings.cudnn_conv_search,
        tf32=settings.tf32,
        strict_nodes=settings.strict_nodes,
    )
