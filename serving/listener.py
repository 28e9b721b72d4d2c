"""What is served on the gRPC port: the transport with every service on it, and the health that it tells.

Owns the list of services, and the translation of settings into what they and the transport take. It brings gRPC and the
messages with it, which take a third of a start to import: `server.py` does that while the models load. Does not know
where models come from.
"""

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from serving.metrics import Metrics
from serving.repository.repository import ModelRepository
from serving.rpc import health, models_servicer, open_inference_servicer, prediction_servicer
from serving.rpc.health import Health
from serving.rpc.methods import Methods
from serving.rpc.models_servicer import ModelsServicer
from serving.rpc.open_inference_servicer import OpenInferenceServicer
from serving.rpc.prediction_servicer import PredictionServicer
from serving.rpc.request_boundary import RequestBoundary
from serving.rpc.tensorflow_serving_servicer import TensorFlowServingServicer
from serving.rpc.transport import Tls, Transport, TransportSettings, TransportUnavailable, build_transport
from serving.settings import Settings, StartError

if TYPE_CHECKING:
    from serving.tracing import Tracing


class Listener:
    """The services of one repository on one port. `start`, then `stop`; `port` is the one really taken.

    `reuse_port`: whether other processes may listen on it too. `cores`: those that this process may count on.
    """

    def __init__(
        self,
        settings: Settings,
        repository: ModelRepository,
        metrics: Metrics,
        *,
        reuse_port: bool = False,
        cores: int = 1,
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._metrics = metrics
        self._reuse_port = reuse_port
        self._cores = cores
        self._transport: Transport | None = None
        self._starting: asyncio.Task[None] | None = None
        self._tracing: Tracing | None = None
        self.health = Health(allow_empty=settings.allow_empty)
        self.port = settings.port

    async def start(self) -> None:
        """Take the port and answer. Raises StartError for a port, a transport or a file that cannot be used.

        And for traces that are asked for where OpenTelemetry is not installed, or is told by its environment variables
        what it does not know.
        """
        self._tracing = tracing = await asyncio.to_thread(_tracing, self._settings)
        if tracing is not None:
            self._metrics.lost_traces = lambda: tracing.lost
        await self.health.start()
        self._transport = self._build_transport()
        # gRPC's server cannot be stopped after a start that was cancelled: that goes on, and `stop` waits for it.
        self._starting = asyncio.create_task(self._transport.start())
        await asyncio.shield(self._starting)

    async def stop(self, drain_seconds: float) -> None:
        """Refuse new calls, and give those in flight so long to end."""
        self.health.end_watches()
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._transport is not None:
            await self._transport.stop(drain_seconds)
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)

    def _build_transport(self) -> Transport:
        settings = self._settings
        transport = _transport(settings, self._cores, reuse_port=self._reuse_port)
        services = self._services()
        for service, methods in services.items():
            boundary = RequestBoundary(
                self._metrics,
                settings.access_log,
                settings.split_key,
                settings.max_request_seconds or float("inf"),
                self._tracing,
                service,
            )
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
            prediction_servicer.SERVICE: PredictionServicer(self._repository, *limits).methods,
            open_inference_servicer.SERVICE: OpenInferenceServicer(
                self._repository,
                self._metrics,
                settings.max_request_rows,
                lambda: self.health.is_serving,
                allow_control=settings.allow_control,
            ).methods,
            models_servicer.SERVICE: ModelsServicer(self._repository, allow_control=settings.allow_control).methods,
            **TensorFlowServingServicer(self._repository, *limits).services,
        }


def _transport(settings: Settings, cores: int, *, reuse_port: bool) -> Transport:
    asked = TransportSettings(
        settings.max_message_bytes,
        _tls(settings),
        settings.compression,
        settings.max_connection_age_seconds,
        reuse_port,
        cores,
    )
    try:
        return build_transport(settings.transport, asked)
    except TransportUnavailable as error:
        raise StartError(str(error)) from error


def _tracing(settings: Settings) -> "Tracing | None":
    if not settings.trace_endpoint:
        return None
    try:
        from serving.tracing import Tracing  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        text = "trace_endpoint: traces need OpenTelemetry; install signet[tracing], or leave it empty"
        raise StartError(text) from error
    tracing = Tracing(settings.trace_endpoint, settings.trace_sample_ratio)
    try:
        tracing.start()
    except Exception as error:
        raise StartError(
            f"trace_endpoint: OpenTelemetry cannot send; an OTEL_* variable is at fault: {error}"
        ) from error
    return tracing


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
