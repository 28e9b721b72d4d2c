"""Every knob of the server: default, unit, meaning.

Owns what is allowed of each and of several together; of types and limits it only says what they are. Does not know
where values come from (see `settings_reading`), nor what they do: inner objects get plain values.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from serving.repository.policy import EXPECTED, parse_policy

MAX_PORT = 65535

MIB = 1024 * 1024


class StartError(Exception):
    """The server cannot start; the text says which setting is at fault."""


PATHS = (Path, Path | None)
"""The types of settings that are paths."""


def _checked_policy(text: str) -> str:
    """A version policy as it is spelled in the end; raises ValueError."""
    return str(parse_policy(text))


def _checked_key(name: str) -> str:
    """The name of metadata that is text, as gRPC has it; raises ValueError."""
    if not re.fullmatch(r"[0-9A-Za-z_.-]*", name) or name.lower().endswith("-bin"):
        raise ValueError(
            f"{name[:64]!r} came; a name of metadata that is text was expected: letters, digits, '_', '.' and '-'"
        )
    return name.lower()


def _checked_endpoint(endpoint: str) -> str:
    """Where traces go, "" for nowhere; raises ValueError."""
    if not endpoint:
        return endpoint
    found = re.fullmatch(r"(https?://)?([^\s/:@]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", endpoint)
    if found is None or not 0 < int(found[3]) <= MAX_PORT:
        raise ValueError(f"{endpoint[:64]!r} came; host:port, http://host:port or https://host:port was expected")
    return endpoint


def setting(
    meaning: str,
    *,
    default: Any,  # noqa: ANN401 - of the type that is annotated
    check: Callable[[str], str] | None = None,
    **limits: float,
) -> Any:  # noqa: ANN401
    """A field of Settings, and what `--help` says of it.

    `limits`: as msgspec.Meta has them. `check`: gives the text as it is kept, or raises ValueError.
    """
    return field(default=default, metadata={"meaning": meaning, "check": check, "limits": limits})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Serve the model packages of a repository over gRPC: labelled predictions, checked before they answer."""

    models: Path = setting("The repository: a folder of <model>/<version>/ packages.", default=Path("models"))
    host: str = setting(
        "The address to listen on; 0.0.0.0 is every one. Without tls_certificate in plain text.", default="127.0.0.1"
    )
    port: int = setting("The gRPC port; 0 takes a free one.", default=8500, ge=0, le=MAX_PORT)
    metrics_port: int = setting(
        "The port of GET /metrics for Prometheus; 0 takes a free one.", default=8501, ge=0, le=MAX_PORT
    )

    workers: int = setting(
        "Processes that share the port; each holds every model. README says when it pays.", default=1, ge=1, le=256
    )
    worker_timeout_seconds: float = setting(
        "With several workers: seconds without a sign of life after which one is replaced.", default=30.0, ge=1
    )
    state: Path | None = setting(
        "The folder of desired_state.json, which keeps what control asked for: versions, labels, splits; "
        "by default the repository.",
        default=None,
    )
    version_policy: str = setting(
        f"The versions of a model that are READY: {EXPECTED}; what control asked for goes before it.",
        default="latest",
        check=_checked_policy,
    )
    poll_seconds: float = setting(
        "How often the repository is looked at for new and removed versions, in seconds; 0: never.", default=2.0, ge=0
    )
    max_models_bytes: int = setting(
        "What the ONNX files of all READY versions may have together, in bytes; 0 is no limit.", default=0, ge=0
    )
    unload_least_used: bool = setting(
        "Beyond max_models_bytes, unload the least recently used version instead of refusing the new one.",
        default=False,
    )
    split_key: str = setting(
        "Name of a metadata key, such as user-id: requests of one value go to one version of a split; "
        "without it those of one request id.",
        default="",
        check=_checked_key,
    )

    transport: Literal["aio", "native", "auto"] = setting(
        "What carries the calls; native is faster for small calls, needs signet[native] and has no TLS, "
        "compression or connection age. auto takes native where it can.",
        default="aio",
    )
    tls_certificate: Path | None = setting("PEM file of the server's certificate chain; needs a key.", default=None)
    tls_key: Path | None = setting("PEM file of the key of that certificate.", default=None)
    tls_client_ca: Path | None = setting(
        "PEM file of the authority whose certificates clients must show; without it they show none.", default=None
    )
    compression: Literal["none", "deflate", "gzip"] = setting("How answers are compressed.", default="none")
    max_connection_age_seconds: float = setting(
        "Age in seconds at which a client is asked to connect anew, for balancers to move it; 0: never.",
        default=0.0,
        ge=0,
    )
    providers: Literal["cpu", "cuda", "auto"] = setting(
        "What onnxruntime runs on; cuda refuses to start without CUDA, auto takes it if it is there.", default="cpu"
    )
    device_id: int = setting("CUDA: the device.", default=0, ge=0)
    gpu_memory_limit_bytes: int = setting("CUDA: memory for each model, in bytes; 0 is no limit.", default=0, ge=0)
    cudnn_conv_search: Literal["EXHAUSTIVE", "HEURISTIC", "DEFAULT"] = setting(
        "CUDA: how cuDNN looks for convolution algorithms.", default="HEURISTIC"
    )
    tf32: bool = setting("CUDA: allow TF32; faster, and further from the recorded golden outputs.", default=False)
    strict_nodes: bool = setting(
        "CUDA: refuse models of which a node would run on the CPU; shape operators normally do.", default=False
    )
    intra_op_threads: int = setting(
        "Threads of one run; 0 measures each model: 1 if runs are short, else the worker's share of cores.",
        default=0,
        ge=0,
    )

    max_batch_rows: int = setting("Rows in one onnxruntime run; larger requests are split.", default=64, ge=1)
    deterministic: bool = setting(
        "Run each row alone, on one thread: an answer has the same bits whatever runs beside it.", default=False
    )
    queue_rows: int = setting(
        "Rows that may wait for each model; more are refused with RESOURCE_EXHAUSTED.", default=16384, ge=1
    )
    max_request_rows: int = setting("Rows in one request.", default=8192, ge=1)
    max_request_seconds: float = setting(
        "What a request may take, in seconds, whatever deadline its caller set; 0: what that is.", default=0.0, ge=0
    )
    max_message_bytes: int = setting("Size of one gRPC message, received or sent, in bytes.", default=64 * MIB, ge=1024)
    max_image_pixels: int = setting(
        "Pixels of one encoded image before it is resized; checked before decoding.", default=16_777_216, ge=1
    )

    allow_control: bool = setting("Allow what changes what is served: loading, labels, splits.", default=False)
    allow_empty: bool = setting("Be SERVING without a READY model.", default=False)
    reflection: bool = setting("Offer gRPC reflection, for buf curl and grpcurl.", default=True)
    lame_duck_seconds: float = setting(
        "After SIGTERM: seconds NOT_SERVING but still answering, so that balancers turn away.", default=0.0, ge=0
    )
    drain_seconds: float = setting("After that: seconds for the requests in flight to end.", default=20.0, ge=0)

    log_format: Literal["console", "json"] = setting("How log lines look.", default="console")
    log_level: Literal["debug", "info", "warning", "error"] = setting("The least level to log.", default="info")
    access_log: Literal["off", "errors", "all"] = setting(
        "Requests to log; all costs a good part of the speed.", default="errors"
    )
    trace_endpoint: str = setting(
        "Where traces go by OTLP over gRPC: host:port in plain text, or https://host:port; needs "
        "signet[tracing]. Empty: no traces.",
        default="",
        check=_checked_endpoint,
    )
    trace_sample_ratio: float = setting(
        "Part of the calls that are traced, among those whose caller has not decided.", default=0.01, ge=0, le=1
    )

    def __post_init__(self) -> None:
        """Raise ValueError for values that do not go together, and texts that no `check` allows.

        Types and limits are looked at where values are read, which in code is mypy's part.
        """
        for one in fields(self):
            if (check := one.metadata["check"]) is not None:
                object.__setattr__(self, one.name, check(getattr(self, one.name)))
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key: one came without the other")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca: it came without tls_certificate and tls_key")
        if self.queue_rows < self.max_request_rows:
            raise ValueError(
                f"queue_rows is {self.queue_rows}; at least max_request_rows ({self.max_request_rows}) was expected, "
                "or the largest request could never be queued"
            )

    def plain(self) -> dict[str, Any]:
        """The values by name, for the log and for JSON: a path as its text."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """Settings of which `plain` gave these values."""
        paths = {one.name for one in fields(cls) if one.type in PATHS}
        read: dict[str, Any] = {
            name: Path(value) if name in paths and value is not None else value for name, value in values.items()
        }
        return cls(**read)
