"""Every knob of the server: default, unit, meaning.

Owns the only reading of flags and of the environment. Does not know what the values do: inner objects get plain values.
A flag (`--max-batch-rows`) wins over the environment (`SIGNET_MAX_BATCH_ROWS`), which wins over the default.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, CliImplicitFlag, SettingsConfigDict, SettingsError

from serving.repository.policy import EXPECTED, parse_policy

MAX_PORT = 65535
Port = Annotated[int, Field(ge=0, le=MAX_PORT)]

MIB = 1024 * 1024


class StartError(Exception):
    """The server cannot start; the text says which setting is at fault."""


class Settings(BaseSettings):
    """Serve the model packages of a repository over gRPC: labelled predictions, checked before they answer."""

    model_config = SettingsConfigDict(
        env_prefix="SIGNET_",
        frozen=True,
        cli_prog_name="signet-serve",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    models: Path = Field(Path("models"), description="The repository: a folder of <model>/<version>/ packages.")
    host: str = Field(
        "127.0.0.1",
        description="The address to listen on; 0.0.0.0 is every one. Without tls_certificate in plain text.",
    )
    port: Port = Field(8500, description="The gRPC port; 0 takes a free one.")
    metrics_port: Port = Field(8501, description="The port of GET /metrics for Prometheus; 0 takes a free one.")

    workers: int = Field(
        1, ge=1, le=256, description="Processes that share the port; each holds every model. README says when it pays."
    )
    worker_timeout_seconds: float = Field(
        30.0, ge=1, description="With several workers: seconds without a sign of life after which one is replaced."
    )
    state: Path | None = Field(
        None,
        description="The folder of desired_state.json, which keeps what control asked for: versions, labels, splits; "
        "by default the repository.",
    )
    version_policy: str = Field(
        "latest",
        description=f"The versions of a model that are READY: {EXPECTED}; what control asked for goes before it.",
    )
    poll_seconds: float = Field(
        2.0,
        ge=0,
        description="How often the repository is looked at for new and removed versions, in seconds; 0: never.",
    )
    max_models_bytes: int = Field(
        0, ge=0, description="What the ONNX files of all READY versions may have together, in bytes; 0 is no limit."
    )
    unload_least_used: CliImplicitFlag[bool] = Field(
        default=False,
        description="Beyond max_models_bytes, unload the least recently used version instead of refusing the new one.",
    )
    split_key: str = Field(
        "",
        description="Name of a metadata key, such as user-id: requests of one value go to one version of a split; "
        "without it those of one request id.",
    )

    transport: Literal["aio", "native", "auto"] = Field(
        "aio",
        description="What carries the calls; native is faster for small calls, needs signet[native] and has no TLS, "
        "compression or connection age. auto takes native where it can.",
    )
    tls_certificate: Path | None = Field(None, description="PEM file of the server's certificate chain; needs a key.")
    tls_key: Path | None = Field(None, description="PEM file of the key of that certificate.")
    tls_client_ca: Path | None = Field(
        None, description="PEM file of the authority whose certificates clients must show; without it they show none."
    )
    compression: Literal["none", "deflate", "gzip"] = Field("none", description="How answers are compressed.")
    max_connection_age_seconds: float = Field(
        0.0,
        ge=0,
        description="Age in seconds at which a client is asked to connect anew, for balancers to move it; 0: never.",
    )
    providers: Literal["cpu", "cuda", "auto"] = Field(
        "cpu",
        description="What onnxruntime runs on; cuda refuses to start without CUDA, auto takes it if it is there.",
    )
    device_id: int = Field(0, ge=0, description="CUDA: the device.")
    gpu_memory_limit_bytes: int = Field(0, ge=0, description="CUDA: memory for each model, in bytes; 0 is no limit.")
    cudnn_conv_search: Literal["EXHAUSTIVE", "HEURISTIC", "DEFAULT"] = Field(
        "HEURISTIC", description="CUDA: how cuDNN looks for convolution algorithms."
    )
    tf32: CliImplicitFlag[bool] = Field(
        default=False, description="CUDA: allow TF32; faster, and further from the recorded golden outputs."
    )
    strict_nodes: CliImplicitFlag[bool] = Field(
        default=False,
        description="CUDA: refuse models of which a node would run on the CPU; shape operators normally do.",
    )
    intra_op_threads: int = Field(
        0,
        ge=0,
        description="Threads of one run; 0 measures each model: 1 if runs are short, else the worker's share of cores.",
    )

    max_batch_rows: int = Field(64, ge=1, description="Rows in one onnxruntime run; larger requests are split.")
    deterministic: CliImplicitFlag[bool] = Field(
        default=False,
        description="Run each row alone, on one thread: an answer has the same bits whatever runs beside it.",
    )
    queue_rows: int = Field(
        16384, ge=1, description="Rows that may wait for each model; more are refused with RESOURCE_EXHAUSTED."
    )
    max_request_rows: int = Field(8192, ge=1, description="Rows in one request.")
    max_request_seconds: float = Field(
        0.0, ge=0, description="What a request may take, in seconds, whatever deadline its caller set; 0: what that is."
    )
    max_message_bytes: int = Field(
        64 * MIB, ge=1024, description="Size of one gRPC message, received or sent, in bytes."
    )
    max_image_pixels: int = Field(
        16_777_216, ge=1, description="Pixels of one encoded image before it is resized; checked before decoding."
    )

    allow_control: CliImplicitFlag[bool] = Field(
        default=False, description="Allow what changes what is served: loading, labels, splits."
    )
    allow_empty: CliImplicitFlag[bool] = Field(default=False, description="Be SERVING without a READY model.")
    reflection: CliImplicitFlag[bool] = Field(
        default=True, description="Offer gRPC reflection, for buf curl and grpcurl."
    )
    lame_duck_seconds: float = Field(
        0.0, ge=0, description="After SIGTERM: seconds NOT_SERVING but still answering, so that balancers turn away."
    )
    drain_seconds: float = Field(20.0, ge=0, description="After that: seconds for the requests in flight to end.")

    log_format: Literal["console", "json"] = Field("console", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level to log.")
    access_log: Literal["off", "errors", "all"] = Field(
        "errors", description="Requests to log; all costs a good part of the speed."
    )
    trace_endpoint: str = Field(
        "",
        description="Where traces go by OTLP over gRPC: host:port in plain text, or https://host:port; needs "
        "signet[tracing]. Empty: no traces.",
    )
    trace_sample_ratio: float = Field(
        0.01, ge=0, le=1, description="Part of the calls that are traced, among those whose caller has not decided."
    )

    @field_validator("version_policy")
    @classmethod
    def _check_policy(cls, text: str) -> str:
        return str(parse_policy(text))

    @field_validator("split_key")
    @classmethod
    def _check_key(cls, name: str) -> str:
        if not re.fullmatch(r"[0-9A-Za-z_.-]*", name) or name.lower().endswith("-bin"):
            raise ValueError("a name of metadata that is text was expected: letters, digits, '_', '.' and '-'")
        return name.lower()

    @field_validator("trace_endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str) -> str:
        if not endpoint:
            return endpoint
        found = re.fullmatch(r"(https?://)?([^\s/:@]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", endpoint)
        if found is None or not 0 < int(found[3]) <= MAX_PORT:
            raise ValueError("host:port, http://host:port or https://host:port was expected")
        return endpoint

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key: one came without the other")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca: it came without tls_certificate and tls_key")
        return self

    @model_validator(mode="after")
    def _check_queue(self) -> Self:
        if self.queue_rows < self.max_request_rows:
            raise ValueError(
                f"queue_rows is {self.queue_rows}; at least max_request_rows ({self.max_request_rows}) was expected, "
                "or the largest request could never be queued"
            )
        return self


def read_settings(arguments: list[str]) -> Settings:
    """Settings from flags, environment and defaults.

    Raises ValueError with one line for each bad value: its name, what came, what was expected. `--help` and unknown
    flags end the process, as argparse does.
    """
    try:
        return Settings(_cli_parse_args=arguments)  # type: ignore[call-arg]
    except ValidationError as error:
        raise ValueError("\n".join(_line(fault) for fault in error.errors())) from error
    except SettingsError as error:
        raise ValueError(str(error)) from error


def _line(fault: object) -> str:
    name = ".".join(map(str, fault["loc"]))  # type: ignore[index]
    text = fault["msg"].removeprefix("Value error, ")  # type: ignore[index]
    if not name:
        return str(text)
    came = fault["input"]  # type: ignore[index]
    return f"{name} (--{name.replace('_', '-')}, SIGNET_{name.upper()}): {came!r} came; {text[0].lower()}{text[1:]}"
