"""What the server tells of itself and of its models in the Open Inference Protocol: liveness, metadata, configuration.

Owns the words: extensions, platform, a model as Triton's configuration has it. Does not know how models run.
"""

from collections.abc import Callable
from importlib.metadata import version as distribution_version
from typing import Any

from protos.inference import metadata_pb2, model_config_pb2
from serving.inference.signature import TensorSpec
from serving.repository.repository import ModelRepository, ModelState
from serving.repository.served_model import ServedModel
from serving.rpc.methods import Call, Method, Methods
from serving.rpc.open_inference_parameters import HIGHEST_PRIORITY, PRIORITIES, version_number

SERVER = "signet"
PLATFORM = "onnxruntime_onnx"
BACKEND = "onnxruntime"
LABELS = "labels.txt"
EXTENSIONS = (
    "classification",
    "model_repository",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "schedule_policy",
)


class OpenInferenceMetadata:
    """Answers what describes. `max_rows`: of a request; `is_serving`: whether the server is ready."""

    def __init__(self, repository: ModelRepository, max_rows: int, is_serving: Callable[[], bool]) -> None:
        self._repository = repository
        self._max_rows = max_rows
        self._is_serving = is_serving

    @property
    def methods(self) -> Methods:
        """What the boundary wraps."""
        return (
            Method("ServerLive", metadata_pb2.ServerLiveRequest, self.server_live),
            Method("ServerReady", metadata_pb2.ServerReadyRequest, self.server_ready),
            Method("ModelReady", metadata_pb2.ModelReadyRequest, self.model_ready),
            Method("ServerMetadata", metadata_pb2.ServerMetadataRequest, self.server_metadata),
            Method("ModelMetadata", metadata_pb2.ModelMetadataRequest, self.model_metadata),
            Method("ModelConfig", model_config_pb2.ModelConfigRequest, self.model_config),
        )

    async def server_live(self, *_: Any) -> metadata_pb2.ServerLiveResponse:  # noqa: ANN401 - message and call
        """Who answers lives."""
        return metadata_pb2.ServerLiveResponse(live=True)

    async def server_ready(self, *_: Any) -> metadata_pb2.ServerReadyResponse:  # noqa: ANN401 - message and call
        """Say what health says."""
        return metadata_pb2.ServerReadyResponse(ready=self._is_serving())

    async def model_ready(
        self,
        request: metadata_pb2.ModelReadyRequest,
        call: Call,  # noqa: ARG002 - no model answers
    ) -> metadata_pb2.ModelReadyResponse:
        """Say whether a version is READY, without one whether any is; an unknown one is not."""
        version = version_number(request.version)
        ready = any(
            one.name == request.name and version in {None, one.version} and one.state is ModelState.READY
            for one in self._repository.statuses()
        )
        return metadata_pb2.ModelReadyResponse(ready=ready)

    async def server_metadata(self, *_: Any) -> metadata_pb2.ServerMetadataResponse:  # noqa: ANN401 - message and call
        """Name, version and extensions."""
        return metadata_pb2.ServerMetadataResponse(
            name=SERVER, version=distribution_version("signet"), extensions=EXTENSIONS
        )

    async def model_metadata(
        self, request: metadata_pb2.ModelMetadataRequest, call: Call
    ) -> metadata_pb2.ModelMetadataResponse:
        """Name, READY versions, inputs and outputs of a model."""
        model = call.served = self._repository.get(request.name, version_number(request.version))
        ready = (one for one in self._repository.statuses() if one.name == model.name and one.state is ModelState.READY)
        return metadata_pb2.ModelMetadataResponse(
            name=model.name,
            versions=[str(one.version) for one in ready],
            platform=PLATFORM,
            inputs=map(_metadata, model.signature.inputs),
            outputs=map(_metadata, model.signature.outputs),
        )

    async def model_config(
        self, request: model_config_pb2.ModelConfigRequest, call: Call
    ) -> model_config_pb2.ModelConfigResponse:
        """A model in the words of Triton's configuration."""
        model = call.served = self._repository.get(request.name, version_number(request.version))
        return model_config_pb2.ModelConfigResponse(config=_config(model, self._max_rows))


def _metadata(spec: TensorSpec) -> metadata_pb2.ModelMetadataResponse.TensorMetadata:
    return metadata_pb2.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)


def _config(model: ServedModel, max_rows: int) -> model_config_pb2.ModelConfig:
    batched = not model.unbatched_reason
    config = model_config_pb2.ModelConfig(
        name=model.name, platform=PLATFORM, backend=BACKEND, max_batch_size=max_rows if batched else 0
    )
    for spec in model.signature.inputs:
        config.input.add(name=spec.name, data_type=_data_type(spec), dims=spec.shape[batched:])
    labelled = model.labeller.output if model.labeller else None
    for spec in model.signature.outputs:
        label_filename = LABELS if spec.name == labelled else ""
        config.output.add(
            name=spec.name, data_type=_data_type(spec), dims=spec.shape[batched:], label_filename=label_filename
        )
    if batched:
        config.dynamic_batching.priority_levels = PRIORITIES
        config.dynamic_batching.default_priority_level = HIGHEST_PRIORITY
    return config


def _data_type(spec: TensorSpec) -> model_config_pb2.DataType.ValueType:
    name = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return model_config_pb2.DataType.Value(f"TYPE_{name}")
