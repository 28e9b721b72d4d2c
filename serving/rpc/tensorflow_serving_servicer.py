"""TensorFlow Serving's services, for clients that were written for it.

Owns the way between its messages and a model's inputs, outputs and states. Does not know statuses, queues, or files.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from google.protobuf.message import Message

from protos.tensorflow_serving.model_pb2 import ModelSpec
from protos.tensorflow_serving.model_service_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelVersionStatus,
    ReloadConfigRequest,
)
from protos.tensorflow_serving.prediction_service_pb2 import (
    Class,
    ClassificationRequest,
    ClassificationResponse,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    MultiInferenceRequest,
    PredictRequest,
    PredictResponse,
    RegressionRequest,
    SignatureDefMap,
)
from protos.tensorflow_serving.session_service_pb2 import SessionRunRequest
from protos.tensorflow_serving.signature_pb2 import SignatureDef, TensorInfo
from serving.errors import InvalidInput, NotOffered
from serving.inference.inputs import check_finite
from serving.inference.labels import Labeller
from serving.inference.signature import Tensors, TensorSpec
from serving.repository.repository import ModelRepository, ModelState, VersionStatus
from serving.repository.served_model import ServedModel
from serving.rpc.methods import Call, Method, Methods, Run, RunMethod
from serving.rpc.tensorflow_serving_codec import data_type, decode_inputs, encode_tensor, shape_of
from serving.rpc.tensorflow_serving_examples import decode_examples

SIGNATURES = ("serving_default", "serve")
"""The names that Keras gives to the one signature of an exported model; the first is the default."""

METHOD_NAME = "tensorflow/serving/predict"

INLINE_BYTES = 65_536
"""Larger requests are taken apart in a thread, so that other calls go on."""

FAILED_PRECONDITION = 9
"""The number of that gRPC status, as a version's status has it."""

_STATES = {
    ModelState.LOADING: ModelVersionStatus.LOADING,
    ModelState.READY: ModelVersionStatus.AVAILABLE,
    ModelState.UNLOADING: ModelVersionStatus.UNLOADING,
    ModelState.GONE: ModelVersionStatus.END,
    ModelState.FAILED: ModelVersionStatus.END,
}


class TensorFlowServingServicer:
    """Answers PredictionService and ModelService. `max_rows`: of a request; `max_image_pixels`: of one image."""

    def __init__(self, repository: ModelRepository, max_rows: int, max_image_pixels: int) -> None:
        self._repository = repository
        self._max_rows = max_rows
        self._max_image_pixels = max_image_pixels

    @property
    def services(self) -> dict[str, Methods]:
        """What the boundary wraps, by the name of its service."""
        return {
            "tensorflow.serving.PredictionService": (
                RunMethod("Predict", PredictRequest, self.prepare_predict, is_large),
                RunMethod("Classify", ClassificationRequest, self.prepare_classify, is_large),
                Method("GetModelMetadata", GetModelMetadataRequest, self.get_model_metadata),
                _not_offered("Regress", RegressionRequest, "use Predict"),
                _not_offered("MultiInference", MultiInferenceRequest, "use Classify or Predict once for each task"),
            ),
            "tensorflow.serving.ModelService": (
                Method("GetModelStatus", GetModelStatusRequest, self.get_model_status),
                _not_offered(
                    "HandleReloadConfigRequest",
                    ReloadConfigRequest,
                    "use LoadModel and UnloadModel of signet.v1.Models",
                ),
            ),
            "tensorflow.serving.SessionService": (
                _not_offered("SessionRun", SessionRunRequest, "use Predict of tensorflow.serving.PredictionService"),
            ),
        }

    def prepare_predict(self, request: PredictRequest, call: Call) -> Run:
        """What to run for tensors; raises the errors of `serving.errors`."""
        model = self._model(request.model_spec, call)
        names = _outputs_asked_for(request.output_filter, model)
        inputs = decode_inputs(request.inputs, model.signature, self._max_rows)
        check_finite(inputs, model.manifest.preprocessing)
        head = PredictResponse(model_spec=_spec(model, request.model_spec.signature_name or SIGNATURES[0]))
        return Run(model, inputs, partial(_predicted, head.SerializeToString(), names))

    def prepare_classify(self, request: ClassificationRequest, call: Call) -> Run:
        """What to run for tf.Examples; raises the errors of `serving.errors`."""
        model = self._model(request.model_spec, call)
        if model.labeller is None:
            raise InvalidInput(f"Classify: model {model.name} has no labels; use Predict")
        inputs = decode_examples(request.input, model, self._max_rows, self._max_image_pixels)
        check_finite(inputs, model.manifest.preprocessing)
        head = ClassificationResponse(model_spec=_spec(model, request.model_spec.signature_name or SIGNATURES[0]))
        return Run(model, inputs, partial(_classified, head.SerializeToString(), model.labeller))

    async def get_model_metadata(self, request: GetModelMetadataRequest, call: Call) -> GetModelMetadataResponse:
        """Answer with the model's signature, by each of its names."""
        model = self._model(request.model_spec, call)
        fields = list(request.metadata_field)
        if fields != ["signature_def"]:
            came = ", ".join(field[:64] for field in fields[:16]) or "nothing"
            raise InvalidInput(f"metadata_field: {came} came; signature_def was expected")
        signature = SignatureDef(
            inputs={spec.name: _info(spec) for spec in model.signature.inputs},
            outputs={spec.name: _info(spec) for spec in model.signature.outputs},
            method_name=METHOD_NAME,
        )
        response = GetModelMetadataResponse(model_spec=_spec(model, ""))
        response.metadata["signature_def"].Pack(SignatureDefMap(signature_def=dict.fromkeys(SIGNATURES, signature)))
        return response

    async def get_model_status(self, request: GetModelStatusRequest, call: Call) -> GetModelStatusResponse:
        """Answer with one version, or with all of a model's, the newest first."""
        spec = request.model_spec
        version, label = _version(spec)
        status = self._repository.status(spec.name, version, label)
        call.served = status.served
        statuses = [status]
        if version is None and label is None:
            statuses = [one for one in reversed(self._repository.statuses()) if one.name == spec.name]
        return GetModelStatusResponse(model_version_status=map(_version_status, statuses))

    def _model(self, spec: ModelSpec, call: Call) -> ServedModel:
        model = call.served = self._repository.get(spec.name, *_version(spec), call.key)
        if spec.signature_name not in {"", *SIGNATURES}:
            raise InvalidInput(
                f"signature_name: {spec.signature_name[:128]!r} came; {' or '.join(SIGNATURES)} was expected"
            )
        return model


def is_large(request: PredictRequest | ClassificationRequest) -> bool:
    """Whether another thread should take a request apart, so that no other caller waits for that."""
    return request.ByteSize() > INLINE_BYTES


def _version(spec: ModelSpec) -> tuple[int | None, str | None]:
    """The version that a message names, or its label."""
    return (
        spec.version.value if spec.HasField("version") else None,
        spec.version_label if spec.HasField("version_label") else None,
    )


def _not_offered(name: str, request_type: type[Message], instead: str) -> Method[Any]:
    async def refuse(request: Message, call: Call) -> NoReturn:  # noqa: ARG001 - whatever is asked
        raise NotOffered(f"{name} is not offered; {instead}")

    return Method(name, request_type, refuse)


def _outputs_asked_for(asked: Sequence[str], model: ServedModel) -> Sequence[str]:
    names = [spec.name for spec in model.signature.outputs]
    unknown = [name for name in asked if name not in names]
    if unknown:
        gives = ", ".join(names)
        raise InvalidInput(f"output_filter: no output is named {unknown[0][:128]!r}; the model gives {gives}")
    if len(set(asked)) < len(asked):
        raise InvalidInput("output_filter names an output twice")
    return list(asked) or names


def _predicted(head: bytes, names: Sequence[str], outputs: Tensors) -> bytes:
    response = PredictResponse(outputs={name: encode_tensor(outputs[name]) for name in names})
    # Messages set end to end are one message with the fields of both.
    return head + response.SerializeToString()


def _classified(head: bytes, labeller: Labeller, outputs: Tensors) -> bytes:
    response = ClassificationResponse()
    for row in labeller.scores(outputs[labeller.output]).tolist():
        classes = [Class(label=label, score=score) for label, score in zip(labeller.labels, row, strict=True)]
        response.result.classifications.add(classes=classes)
    return head + response.SerializeToString()


def _spec(model: ServedModel, signature_name: str) -> ModelSpec:
    spec = ModelSpec(name=model.name, signature_name=signature_name)
    spec.version.value = model.version
    return spec


def _info(spec: TensorSpec) -> TensorInfo:
    return TensorInfo(name=f"{spec.name}:0", dtype=data_type(spec), tensor_shape=shape_of(spec.shape))


def _version_status(status: VersionStatus) -> ModelVersionStatus:
    answer = ModelVersionStatus(version=status.version, state=_STATES[status.state])
    answer.status.error_message = status.reason
    if status.state is ModelState.FAILED:
        answer.status.error_code = FAILED_PRECONDITION
    answer.status.SetInParent()
    return answer
