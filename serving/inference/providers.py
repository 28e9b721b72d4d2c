"""Which onnxruntime execution provider runs the models, and with which arguments.

Owns the translation from plain settings to onnxruntime's provider list and session options. Does not know models.
"""

from dataclasses import dataclass
from typing import Any, Literal

ProviderChoice = Literal["cpu", "cuda", "auto"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

GOLDEN_KEYS = {CPU: "cpu", CUDA: "cuda"}
"""Provider to its key in the manifest's golden tolerances."""


class ProviderUnavailable(Exception):
    """The provider asked for cannot be had; the server must not start on another one in silence."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What the operator asked for. `gpu_memory_limit_bytes` 0 is onnxruntime's own: no limit."""

    choice: ProviderChoice = "cpu"
    device_id: int = 0
    gpu_memory_limit_bytes: int = 0
    cudnn_conv_search: Literal["EXHAUSTIVE", "HEURISTIC", "DEFAULT"] = "HEURISTIC"
    tf32: bool = False
    strict_nodes: bool = False


def resolve(settings: ProviderSettings, available: list[str]) -> str:
    """The provider to ask onnxruntime for: `auto` takes CUDA where the installed onnxruntime has it.

    Raises ProviderUnavailable if CUDA was asked for by name and the installed onnxruntime lacks it.
    """
    if settings.choice == "cpu" or (settings.choice == "auto" and CUDA not in available):
        return CPU
    if CUDA not in available:
        raise ProviderUnavailable(
            f"providers=cuda was asked for, but the installed onnxruntime has only {', '.join(available)}; "
            "install onnxruntime-gpu in place of onnxruntime, or ask for cpu or auto"
        )
    return CUDA


def provider_list(settings: ProviderSettings, provider: str) -> list[tuple[str, dict[str, Any]]]:
    """The `providers` argument of onnxruntime; behind CUDA the CPU, for shape operators, unless nodes are strict."""
    if provider == CPU:
        return [(CPU, {})]
    options: dict[str, Any] = {
        "device_id": settings.device_id,
        "cudnn_conv_algo_search": settings.cudnn_conv_search,
        "use_tf32": int(settings.tf32),
    }
    if settings.gpu_memory_limit_bytes:
        options["gpu_mem_limit"] = settings.gpu_memory_limit_bytes
    return [(CUDA, options)] if settings.strict_nodes else [(CUDA, options), (CPU, {})]


def session_config(settings: ProviderSettings, provider: str) -> dict[str, str]:
    """Session config entries for this provider."""
    config = {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"}
    if provider == CUDA and settings.strict_nodes:
        config["session.disable_cpu_ep_fallback"] = "1"
    return config


def verify(settings: ProviderSettings, asked: str, obtained: list[str]) -> str:
    """The provider that a session really runs on.

    onnxruntime falls back to the CPU in silence when CUDA's libraries or device are missing. Raises ProviderUnavailable
    if CUDA was asked for by name and is not first in `obtained`.
    """
    if settings.choice == "cuda" and obtained[0] != asked:
        raise ProviderUnavailable(
            f"providers=cuda was asked for, but onnxruntime gave {', '.join(obtained)}: the CUDA libraries, the driver "
            f"or device {settings.device_id} are missing; its own warning above says which"
        )
    return obtained[0]
