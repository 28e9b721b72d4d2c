"""Promises about the server and the metadata of its models."""

from collections.abc import Callable
from typing import Any

from protos.inference import metadata_pb2, model_config_pb2, repository_pb2, statistics_pb2
from serving.client.conformance.check import Check, NotTried, convention, must
from serving.client.conformance.subject import Subject, broken_if
from serving.client.conformance.target import Reply
from serving.client.conformance.tensor_forms import DATATYPES

UNKNOWN_MODEL = "no_such_model_here"
UNKNOWN_VERSION = "987654321"


def versions_of(subject: Subject) -> tuple[str, ...]:
    """The versions of the main model; raises NotTried if the server tells of none, which it may."""
    if not subject.versions:
        raise NotTried("neither metadata nor answers tell of versions")
    return subject.versions


@must("server.live", "ServerLive says that the server is live", "inference_grpc.md, Server Live")
def _live(subject: Subject) -> None:
    reply = subject.target.call("ServerLive", metadata_pb2.ServerLiveRequest(), metadata_pb2.ServerLiveResponse)
    broken_if(reply, not reply.ok().live, "live: true")


@must("server.ready", "ServerReady says that the server is ready", "inference_grpc.md, Server Ready")
def _ready(subject: Subject) -> None:
    reply = subject.target.call("ServerReady", metadata_pb2.ServerReadyRequest(), metadata_pb2.ServerReadyResponse)
    broken_if(reply, not reply.ok().ready, "ready: true")


@must("server.metadata", "ServerMetadata names the server and its version", "inference_grpc.md, Server Metadata")
def _server_metadata(subject: Subject) -> None:
    reply = _ask_metadata(subject)
    broken_if(reply, not reply.ok().name or not reply.ok().version, "a name and a version")


@must("server.extensions", "An extension that is listed is there", "inference_grpc.md, Server Metadata: extensions")
def _extensions(subject: Subject) -> None:
    listed = set(_ask_metadata(subject).ok().extensions)
    calls = _calls(subject)
    known = sorted(listed & set(calls))
    if not known:
        raise NotTried(f"none that has a method is listed: {', '.join(sorted(listed)) or 'nothing'}")
    for extension in known:
        reply = calls[extension]()
        broken_if(reply, reply.message is None, f"an answer, since {extension} is listed")


@must("model.ready", "ModelReady says that the model is ready", "inference_grpc.md, Model Ready")
def _model_ready(subject: Subject) -> None:
    reply = subject.ready(subject.name)
    broken_if(reply, not reply.ok().ready, "ready: true")


@must("model.ready.unknown-model", "A model that is not there is not ready", "inference_grpc.md, Model Ready: ready")
def _unknown_model_ready(subject: Subject) -> None:
    reply = subject.ready(UNKNOWN_MODEL)
    broken_if(reply, reply.message is not None and reply.message.ready, "ready: false, or an error")


@must("model.ready.unknown-version", "A version that is not there is not ready", "ModelReadyRequest.version")
def _unknown_version_ready(subject: Subject) -> None:
    versions_of(subject)
    reply = subject.ready(subject.name, UNKNOWN_VERSION)
    broken_if(reply, reply.message is not None and reply.message.ready, "ready: false, or an error")


@must("model.metadata.name", "ModelMetadata names the model asked for", "ModelMetadataResponse.name")
def _metadata_name(subject: Subject) -> None:
    reply = subject.metadata(subject.name)
    broken_if(reply, reply.ok().name != subject.name, f"name: {subject.name!r}")


@must(
    "model.metadata.tensors",
    "Inputs and outputs have names, datatypes of the protocol, and shapes in which -1 is free",
    "ModelMetadataResponse.TensorMetadata; inference_grpc.md, Tensor Data Types",
)
def _metadata_tensors(subject: Subject) -> None:
    reply = subject.metadata(subject.name)
    tensors = [*reply.ok().inputs, *reply.ok().outputs]
    broken_if(reply, not reply.ok().inputs or not reply.ok().outputs, "inputs and outputs")
    for tensor in tensors:
        broken_if(reply, not tensor.name, "a name of each tensor")
        broken_if(reply, tensor.datatype not in DATATYPES, f"a datatype of the protocol for {tensor.name!r}")
        broken_if(reply, min(tensor.shape, default=0) < -1, f"a shape of {tensor.name!r} of lengths and -1")


@must("model.metadata.versions", "Each version that is listed is ready", "ModelMetadataResponse.versions")
def _metadata_versions(subject: Subject) -> None:
    if not subject.main.versions:
        raise NotTried("the model's metadata list no versions")
    for version in subject.main.versions:
        reply = subject.ready(subject.name, version)
        broken_if(reply, not reply.ok().ready, f"ready: true, since version {version} is listed")


@must(
    "model.metadata.unknown-model", "Metadata of a model that is not there are an error", "inference_grpc.md, Metadata"
)
def _unknown_metadata(subject: Subject) -> None:
    subject.metadata(UNKNOWN_MODEL).refused("an error")


@must(
    "model.metadata.unknown-version",
    "Metadata of a version that is not there, too",
    "ModelMetadataRequest.version",
)
def _unknown_version_metadata(subject: Subject) -> None:
    versions_of(subject)
    subject.metadata(subject.name, UNKNOWN_VERSION).refused("an error")


@convention(
    "model.metadata.platform", "The platform reads PROJECT_FORMAT", "inference_grpc.md, Platforms: information only"
)
def _platform(subject: Subject) -> None:
    reply = subject.metadata(subject.name)
    project, _, form = reply.ok().platform.partition("_")
    broken_if(reply, not project or not form, "a platform like onnx_onnxv1")


def _calls(subject: Subject) -> dict[str, Callable[[], Reply[Any]]]:
    """Extensions' names in Triton, and a call that they need."""
    name = subject.main.name
    return {
        "statistics": lambda: subject.target.call(
            "ModelStatistics",
            statistics_pb2.ModelStatisticsRequest(name=name),
            statistics_pb2.ModelStatisticsResponse,
        ),
        "model_repository": lambda: subject.target.call(
            "RepositoryIndex", repository_pb2.RepositoryIndexRequest(), repository_pb2.RepositoryIndexResponse
        ),
        "model_configuration": lambda: subject.target.call(
            "ModelConfig", model_config_pb2.ModelConfigRequest(name=name), model_config_pb2.ModelConfigResponse
        ),
    }


def _ask_metadata(subject: Subject) -> Reply[metadata_pb2.ServerMetadataResponse]:
    request = metadata_pb2.ServerMetadataRequest()
    return subject.target.call("ServerMetadata", request, metadata_pb2.ServerMetadataResponse)


CHECKS: tuple[Check[Subject], ...] = (
    _live,
    _ready,
    _server_metadata,
    _extensions,
    _model_ready,
    _unknown_model_ready,
    _unknown_version_ready,
    _metadata_name,
    _metadata_tensors,
    _metadata_versions,
    _unknown_metadata,
    _unknown_version_metadata,
    _platform,
)
