"""Every unary call: its path, the message to send, and what becomes of the answer.

Owns the names of services and methods. Does not know channels, deadlines or retries: `Client` and `AsyncClient` carry
the same operations out, each in its way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2

from protos.signet.v1 import models_pb2, prediction_pb2
from serving.client import answers, decoding
from serving.client.encoding import checked_integer
from serving.errors import InternalError, Unavailable

Result = TypeVar("Result")
Response = TypeVar("Response", bound=Message)

_MODELS = models_pb2.DESCRIPTOR.services_by_name["Models"]
_PREDICTION = prediction_pb2.DESCRIPTOR.services_by_name["Prediction"]
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]

STREAM_PATH = f"/{_PREDICTION.full_name}/PredictStream"


@dataclass(frozen=True, slots=True)
class Operation(Generic[Result]):
    """One call to make: `request` goes to `path` as bytes, `decode` makes the result of the bytes that come back.

    `about` is for the error of a server that gives a status and no text.
    """

    path: str
    request: bytes
    decode: Callable[[bytes], Result]
    about: str


def predict(message: prediction_pb2.PredictRequest) -> Operation[answers.Answer]:
    """Label rows."""
    return _operation(_PREDICTION, "Predict", message, prediction_pb2.PredictResponse, decoding.answer)


def list_models() -> Operation[tuple[answers.ModelStatus, ...]]:
    """Name every version."""
    request = models_pb2.ListModelsRequest()
    return _operation(
        _MODELS,
        "ListModels",
        request,
        models_pb2.ListModelsResponse,
        lambda got: tuple(map(decoding.status, got.models)),
    )


def get_model(name: str, version: int | None) -> Operation[answers.ModelDetails]:
    """Tell all about one version."""
    request = models_pb2.GetModelRequest(model=name, version=_checked_version(version))
    return _operation(_MODELS, "GetModel", request, models_pb2.GetModelResponse, decoding.details)


def load_model(name: str, version: int | None, policy: str) -> Operation[answers.ModelStatus]:
    """Make a version READY, or what a policy wants."""
    request = models_pb2.LoadModelRequest(model=name, version=_checked_version(version), policy=policy)
    return _operation(
        _MODELS, "LoadModel", request, models_pb2.LoadModelResponse, lambda got: decoding.status(got.status)
    )


def unload_model(name: str, version: int | None) -> Operation[tuple[answers.ModelStatus, ...]]:
    """Drain a version, or all."""
    request = models_pb2.UnloadModelRequest(model=name, version=_checked_version(version))
    return _operation(
        _MODELS,
        "UnloadModel",
        request,
        models_pb2.UnloadModelResponse,
        lambda got: tuple(map(decoding.status, got.models)),
    )


def set_label(name: str, label: str, version: int) -> Operation[answers.Traffic]:
    """Move a label to a version."""
    request = models_pb2.SetVersionLabelRequest(
        model=name, label=label, version=checked_integer("version", version, bits=64)
    )
    return _operation(_MODELS, "SetVersionLabel", request, models_pb2.SetVersionLabelResponse, _traffic)


def remove_label(name: str, label: str) -> Operation[answers.Traffic]:
    """Forget a label."""
    request = models_pb2.RemoveVersionLabelRequest(model=name, label=label)
    return _operation(_MODELS, "RemoveVersionLabel", request, models_pb2.RemoveVersionLabelResponse, _traffic)


def set_split(name: str, percent: Mapping[str, float]) -> Operation[answers.Traffic]:
    """Share out the requests without a version among labels."""
    request = models_pb2.SetTrafficSplitRequest(model=name, percent=percent)
    return _operation(_MODELS, "SetTrafficSplit", request, models_pb2.SetTrafficSplitResponse, _traffic)


def health(model: str) -> Operation[bool]:
    """Ask whether a model, or for "" the server, is SERVING."""
    return _operation(
        _HEALTH, "Check", _health_request(model), health_pb2.HealthCheckResponse, _is_serving, f"health of {model}"
    )


def ready() -> Operation[None]:
    """Ask the same of the server, where NOT_SERVING is an Unavailable: so the retry policy does the waiting."""
    return _operation(_HEALTH, "Check", _health_request(""), health_pb2.HealthCheckResponse, _check_serving)


def parsed(response_type: type[Response], data: bytes) -> Response:
    """The message in `data`; raises InternalError if the server sent something else."""
    try:
        return response_type.FromString(data)
    except DecodeError as error:
        name = response_type.DESCRIPTOR.full_name
        raise InternalError(f"the {len(data)} bytes that the server sent are no {name} message") from error


def _operation(
    service: Any,  # noqa: ANN401 - the descriptor's class is private to protobuf
    method: str,
    request: Message,
    response_type: type[Response],
    decode: Callable[[Response], Result],
    about: str = "",
) -> Operation[Result]:
    path = f"/{service.full_name}/{service.methods_by_name[method].name}"
    return Operation(path, request.SerializeToString(), lambda data: decode(parsed(response_type, data)), about or path)


def _traffic(
    got: models_pb2.SetVersionLabelResponse
    | models_pb2.RemoveVersionLabelResponse
    | models_pb2.SetTrafficSplitResponse,
) -> answers.Traffic:
    return decoding.traffic(got.traffic)


def _checked_version(version: int | None) -> int | None:
    return None if version is None else checked_integer("version", version, bits=64)


def _health_request(service: str) -> Message:
    request: Message = health_pb2.HealthCheckRequest(service=service)
    return request


def _is_serving(response: Any) -> bool:  # noqa: ANN401 - published without types
    return bool(response.status == health_pb2.HealthCheckResponse.SERVING)


def _check_serving(response: Any) -> None:  # noqa: ANN401
    if not _is_serving(response):
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)
        raise Unavailable(f"the server answers, and says that it is {name}")
