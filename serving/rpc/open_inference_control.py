"""The model repository extension: the index, loading and unloading; and the methods that are not offered.

Owns the gate before control in this protocol, and what to use instead of what is missing. Does not know how versions
load.
"""

from functools import partial
from typing import Any, NoReturn

from google.protobuf.empty_pb2 import Empty

from protos.inference import repository_pb2
from serving.errors import InvalidInput, NotOffered, PermissionDenied
from serving.repository.repository import ModelRepository, ModelState
from serving.rpc.methods import Call, Method, Methods

_SHARED_MEMORY = "shared memory is not offered; send tensors in raw_input_contents"
NOT_OFFERED = {
    "SystemSharedMemoryStatus": _SHARED_MEMORY,
    "SystemSharedMemoryRegister": _SHARED_MEMORY,
    "SystemSharedMemoryUnregister": _SHARED_MEMORY,
    "CudaSharedMemoryStatus": _SHARED_MEMORY,
    "CudaSharedMemoryRegister": _SHARED_MEMORY,
    "CudaSharedMemoryUnregister": _SHARED_MEMORY,
    "TraceSetting": "trace settings are not offered; GET /metrics and ModelStatistics tell where time goes",
    "LogSettings": "log settings are not offered; start the server with --log-level and --access-log",
}
"""Methods that Triton's clients know, by what to use instead."""


class OpenInferenceControl:
    """Answers the index, and control, which is refused unless `allow_control`."""

    def __init__(self, repository: ModelRepository, *, allow_control: bool) -> None:
        self._repository = repository
        self._allow_control = allow_control

    @property
    def methods(self) -> Methods:
        """What the boundary wraps."""
        return (
            Method("RepositoryIndex", repository_pb2.RepositoryIndexRequest, self.repository_index),
            Method("RepositoryModelLoad", repository_pb2.RepositoryModelLoadRequest, self.repository_model_load),
            Method("RepositoryModelUnload", repository_pb2.RepositoryModelUnloadRequest, self.repository_model_unload),
            # No message of theirs is looked at.
            *(Method(name, Empty, partial(_refuse, f"{name}: {text}")) for name, text in NOT_OFFERED.items()),
        )

    async def repository_index(
        self,
        request: repository_pb2.RepositoryIndexRequest,
        call: Call,  # noqa: ARG002 - no model answers
    ) -> repository_pb2.RepositoryIndexResponse:
        """Every version found, or those that are READY."""
        _check_repository(request.repository_name)
        response = repository_pb2.RepositoryIndexResponse()
        for one in self._repository.statuses():
            if one.state is ModelState.READY or not request.ready:
                state = "UNAVAILABLE" if one.state is ModelState.FAILED else str(one.state)
                response.models.add(name=one.name, version=str(one.version), state=state, reason=one.reason)
        return response

    async def repository_model_load(
        self,
        request: repository_pb2.RepositoryModelLoadRequest,
        call: Call,  # noqa: ARG002 - no model answers
    ) -> repository_pb2.RepositoryModelLoadResponse:
        """Load the highest version on disk, as ModelRepository.load does."""
        self._check_control("RepositoryModelLoad")
        _check_repository(request.repository_name)
        if request.parameters:
            # To load something else than what was asked for would be worse than to load nothing.
            raise InvalidInput(
                f"parameter {min(request.parameters)[:128]} came; none was expected, models are served as packaged"
            )
        await self._repository.load(request.model_name)
        return repository_pb2.RepositoryModelLoadResponse()

    async def repository_model_unload(
        self,
        request: repository_pb2.RepositoryModelUnloadRequest,
        call: Call,  # noqa: ARG002 - no model answers
    ) -> repository_pb2.RepositoryModelUnloadResponse:
        """Unload every version of a model, as ModelRepository.unload does; no model depends on another."""
        self._check_control("RepositoryModelUnload")
        _check_repository(request.repository_name)
        await self._repository.unload(request.model_name)
        return repository_pb2.RepositoryModelUnloadResponse()

    def _check_control(self, method: str) -> None:
        if not self._allow_control:
            raise PermissionDenied(f"{method} is off; the server was started without --allow-control")


def _check_repository(name: str) -> None:
    if name:
        raise InvalidInput(f"repository_name: {name[:128]!r} came; none was expected, there is one repository")


async def _refuse(text: str, *_: Any) -> NoReturn:  # noqa: ANN401 - message and call
    raise NotOffered(text)
