"""signet.v1.Models: what is served, and the control over it.

Owns the words in which versions are described on the wire, and the gate before control. Does not know how versions
load.
"""

from collections.abc import Sequence
from typing import Any

from protos.signet.v1 import models_pb2
from serving.errors import PermissionDenied
from serving.inference.inputs import FeaturePreprocessing, ImagePreprocessing
from serving.inference.signature import TensorSpec
from serving.repository.repository import ModelRepository, VersionStatus
from serving.repository.served_model import ServedModel
from serving.repository.traffic import Traffic
from serving.rpc.methods import Call, Method

SERVICE = models_pb2.DESCRIPTOR.services_by_name["Models"].full_name


class ModelsServicer:
    """Answers the Models service. Control RPCs are refused unless `allow_control`."""

    def __init__(self, repository: ModelRepository, *, allow_control: bool) -> None:
        self._repository = repository
        self._allow_control = allow_control

    @property
    def methods(self) -> Sequence[Method[Any]]:
        """What the boundary wraps."""
        return (
            Method("ListModels", models_pb2.ListModelsRequest, self.list_models),
            Method("GetModel", models_pb2.GetModelRequest, self.get_model),
            Method("LoadModel", models_pb2.LoadModelRequest, self.load_model),
            Method("UnloadModel", models_pb2.UnloadModelRequest, self.unload_model),
            Method("SetVersionLabel", models_pb2.SetVersionLabelRequest, self.set_version_label),
            Method("RemoveVersionLabel", models_pb2.RemoveVersionLabelRequest, self.remove_version_label),
            Method("SetTrafficSplit", models_pb2.SetTrafficSplitRequest, self.set_traffic_split),
        )

    async def list_models(
        self,
        request: models_pb2.ListModelsRequest,  # noqa: ARG002 - it has no fields
        call: Call,  # noqa: ARG002 - no model answers
    ) -> models_pb2.ListModelsResponse:
        """Answer with every version found."""
        return models_pb2.ListModelsResponse(models=map(self._status, self._repository.statuses()))

    async def get_model(self, request: models_pb2.GetModelRequest, call: Call) -> models_pb2.GetModelResponse:
        """Answer with all about one version; of one that is not READY, its status alone."""
        status = self._repository.status(request.model, request.version if request.HasField("version") else None)
        response = models_pb2.GetModelResponse(status=self._status(status))
        if status.served is not None:
            call.served = status.served
            _describe(status.served, response)
        return response

    async def load_model(
        self,
        request: models_pb2.LoadModelRequest,
        call: Call,  # noqa: ARG002 - no model answers
    ) -> models_pb2.LoadModelResponse:
        """Load as ModelRepository.load does."""
        self._check_control("LoadModel")
        version = request.version if request.HasField("version") else None
        status = await self._repository.load(request.model, version, request.policy)
        return models_pb2.LoadModelResponse(status=self._status(status))

    async def unload_model(
        self,
        request: models_pb2.UnloadModelRequest,
        call: Call,  # noqa: ARG002 - no model answers
    ) -> models_pb2.UnloadModelResponse:
        """Unload as ModelRepository.unload does."""
        self._check_control("UnloadModel")
        statuses = await self._repository.unload(
            request.model, request.version if request.HasField("version") else None
        )
        return models_pb2.UnloadModelResponse(models=map(self._status, statuses))

    async def set_version_label(
        self,
        request: models_pb2.SetVersionLabelRequest,
        call: Call,  # noqa: ARG002 - no model answers
    ) -> models_pb2.SetVersionLabelResponse:
        """Label as ModelRepository.set_label does."""
        self._check_control("SetVersionLabel")
        traffic = await self._repository.set_label(request.model, request.label, request.version)
        return models_pb2.SetVersionLabelResponse(traffic=_traffic(traffic))

    async def remove_version_label(
        self,
        request: models_pb2.RemoveVersionLabelRequest,
        call: Call,  # noqa: ARG002 - no model answers
    ) -> models_pb2.RemoveVersionLabelResponse:
        """Remove as ModelRepository.remove_label does."""
        self._check_control("RemoveVersionLabel")
        traffic = await self._repository.remove_label(request.model, request.label)
        return models_pb2.RemoveVersionLabelResponse(traffic=_traffic(traffic))

    async def set_traffic_split(
        self,
        request: models_pb2.SetTrafficSplitRequest,
        call: Call,  # noqa: ARG002 - no model answers
    ) -> models_pb2.SetTrafficSplitResponse:
        """Split as ModelRepository.set_split does."""
        self._check_control("SetTrafficSplit")
        traffic = await self._repository.set_split(request.model, dict(request.percent))
        return models_pb2.SetTrafficSplitResponse(traffic=_traffic(traffic))

    def _check_control(self, method: str) -> None:
        if not self._allow_control:
            raise PermissionDenied(f"{method} is off; the server was started without --allow-control")

    def _status(self, status: VersionStatus) -> models_pb2.ModelStatus:
        traffic = self._repository.traffic(status.name)
        labels = traffic.labels_of(status.version)
        return models_pb2.ModelStatus(
            model=status.name,
            version=status.version,
            state=models_pb2.ModelState.Value(f"MODEL_STATE_{status.state}"),
            reason=status.reason,
            is_default=self._repository.is_default(status),
            labels=labels,
            split_percent=sum(traffic.split.get(label, 0.0) for label in labels),
        )


def _traffic(traffic: Traffic) -> models_pb2.Traffic:
    return models_pb2.Traffic(labels=traffic.labels, percent=traffic.split)


def _describe(model: ServedModel, response: models_pb2.GetModelResponse) -> None:
    manifest = model.manifest
    response.inputs.extend(map(_spec, model.signature.inputs))
    response.outputs.extend(map(_spec, model.signature.outputs))
    response.class_indices.update(manifest.class_indices)
    response.metrics.update(manifest.metrics)
    response.provider = model.provider
    response.intra_op_threads = model.intra_op_threads
    response.batched = not model.unbatched_reason
    response.unbatched_reason = model.unbatched_reason
    response.task, response.recipe, response.created = manifest.task, manifest.recipe, manifest.created
    response.load_seconds = model.load_seconds
    plan = model.plan
    response.runs.max_batch_rows = plan.max_batch_rows
    response.runs.full_run_intra_op_threads = plan.full_run_threads
    response.runs.inline = model.inline
    response.runs.thread_rows = plan.thread_rows
    if plan.one_row_seconds is not None:
        response.runs.one_row_seconds = plan.one_row_seconds
    if plan.full_run_seconds is not None:
        response.runs.full_run_seconds = plan.full_run_seconds
    if model.golden is not None:
        response.golden.rows = model.golden.rows
        response.golden.max_abs_difference = model.golden.max_abs_difference
        response.golden.tolerance = model.golden.tolerance
    if model.labeller is not None:
        response.decision.kind = model.labeller.decision.kind
        if model.labeller.decision.kind == "sigmoid":
            response.decision.threshold = model.labeller.decision.threshold
    _describe_preprocessing(manifest.preprocessing, response)


def _describe_preprocessing(
    to: ImagePreprocessing | FeaturePreprocessing | None, response: models_pb2.GetModelResponse
) -> None:
    if isinstance(to, ImagePreprocessing):
        response.image.CopyFrom(
            models_pb2.ImagePreprocessing(
                input=to.input,
                height=to.height,
                width=to.width,
                color_mode=to.color_mode,
                other_size=to.other_size,
                alpha_background=to.alpha_background,
                exif_orientation=to.exif_orientation,
            )
        )
    elif isinstance(to, FeaturePreprocessing):
        response.features.input = to.input
        for one in to.features:
            response.features.features.add(name=one.name, minimum=one.minimum, maximum=one.maximum)


def _spec(spec: TensorSpec) -> models_pb2.TensorSpec:
    return models_pb2.TensorSpec(name=spec.name, datatype=spec.datatype, shape=spec.shape)
