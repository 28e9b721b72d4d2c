"""OnnxSession: one model in onnxruntime.

Owns the only use of onnxruntime in the server: telemetry off, providers, threads, the graph's own signature. Does not
know model names, requests, or batches.
"""

import os
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

# onnxruntime sends telemetry by default since 1.29, from its import on.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# NumPy's threads for matrix products, one for each core: nothing here multiplies matrices with it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import onnxruntime as ort

from serving.inference import providers
from serving.inference.bfloat16 import has_bfloat16, run_bfloat16
from serving.inference.providers import ProviderSettings, ProviderUnavailable
from serving.inference.signature import Signature, Tensors, TensorSpec

ort.disable_telemetry_events()

FATAL = 4
"""The severity from which onnxruntime writes lines of its own."""

_DATATYPE_NAMES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class SessionError(Exception):
    """onnxruntime cannot load or run this; the text is fit for a caller."""


class RunEnd:
    """Ends a run from another thread: after the node that is being computed, the run raises SessionError."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()
        self.asked = False

    def ask(self) -> None:
        """End the run that was given this, now or as soon as it begins."""
        self.asked = True
        self.options.terminate = True


class Session(Protocol):
    """What computes: OnnxSession, and whatever wraps one."""

    @property
    def signature(self) -> Signature:
        """What `run` takes and gives."""
        ...

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        """All outputs by name for all inputs by name."""
        ...


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How sessions are made. `intra_op_threads` is what one run may use.

    `deterministic`: kernels whose result depends on the order in which threads end are not used.
    """

    intra_op_threads: int
    provider: ProviderSettings = field(default_factory=ProviderSettings)
    deterministic: bool = False


def check_provider(settings: ProviderSettings) -> str:
    """The provider that sessions will ask for; raises ProviderUnavailable as `providers.resolve` does."""
    return providers.resolve(settings, ort.get_available_providers())


class OnnxSession:
    """A loaded graph. Its `run` may be called from several threads at once."""

    def __init__(
        self, session: ort.InferenceSession, signature: Signature, provider: str, intra_op_threads: int
    ) -> None:
        self._session = session
        self._output_names = [spec.name for spec in signature.outputs]
        self._has_bfloat16 = has_bfloat16(signature)
        self.signature = signature
        self.provider = provider
        self.intra_op_threads = intra_op_threads

    @classmethod
    def open(cls, model: bytes | str, settings: SessionSettings) -> "OnnxSession":
        """Load `model`: the bytes of an ONNX file, or its path where weights lie beside it.

        Raises SessionError if it cannot be loaded, ProviderUnavailable as `providers.verify` does.
        """
        provider = check_provider(settings.provider)
        try:
            session = ort.InferenceSession(
                model,
                sess_options=_session_options(settings, provider),
                providers=providers.provider_list(settings.provider, provider),
            )
        except ProviderUnavailable:
            raise
        except Exception as error:
            # onnxruntime's own text may hold the path; its status word says enough for a caller.
            raise SessionError(f"onnxruntime cannot load it ({_status_word(error)})") from error
        signature = Signature(_specs(session.get_inputs()), _specs(session.get_outputs()))
        if not signature.inputs:
            raise SessionError("it has no inputs, so there is nothing to ask it")
        obtained = providers.verify(settings.provider, provider, session.get_providers())
        return cls(session, signature, obtained, settings.intra_op_threads)

    def run(self, inputs: Tensors, end: RunEnd | None = None) -> Tensors:
        """All outputs by name. Raises SessionError if the graph fails on these inputs, or by `end`."""
        options = end.options if end else None
        try:
            outputs = (
                run_bfloat16(self._session, self._output_names, inputs, options)
                if self._has_bfloat16
                else self._session.run(None, inputs, options)
            )
            return dict(zip(self._output_names, outputs, strict=True))
        except Exception as error:
            raise SessionError(f"the model failed on this input ({_status_word(error)})") from error


def _session_options(settings: SessionSettings, provider: str) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.intra_op_threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = settings.deterministic
    # An error is raised as well. onnxruntime would write its line by itself: past the log's queue, so that a full pipe
    # holds up the run, and with values that callers sent.
    options.log_severity_level = FATAL
    for key, value in providers.session_config(settings.provider, provider).items():
        options.add_session_config_entry(key, value)
    return options


def _specs(arguments: list[Any]) -> tuple[TensorSpec, ...]:
    specs = []
    for argument in arguments:
        datatype = _DATATYPE_NAMES.get(argument.type)
        if datatype is None:
            raise SessionError(f"{argument.name} is a {argument.type}, which is not served")
        shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in argument.shape)
        specs.append(TensorSpec(argument.name, datatype, shape))
    return tuple(specs)


def _status_word(error: Exception) -> str:
    """INVALID_ARGUMENT out of "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : …", else the exception's name."""
    found = re.match(r"\[ONNXRuntimeError\] : \d+ : (\w+) : ", str(error))
    return found[1] if found else type(error).__name__
