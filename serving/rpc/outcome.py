"""How a call ended, and what of it the caller sees.

Owns the map from error classes to gRPC statuses, the text and the trailing metadata. Does not know who asked for what.
"""

import grpc
from google.rpc import error_details_pb2, status_pb2
from msgspec import Struct

from serving import errors
from serving.rpc.methods import Metadata

MAX_TEXT_BYTES = 1024
"""Of an error's text in UTF-8. gRPC writes a byte outside ASCII as three, and clients refuse headers over 8 KiB."""

STATUS_OF: dict[type[errors.ServingError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelBroken: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotOffered: grpc.StatusCode.UNIMPLEMENTED,
    errors.InternalError: grpc.StatusCode.INTERNAL,
}


class Outcome(Struct, frozen=True):
    """How a request ended. `error` is None for an answer."""

    code: grpc.StatusCode
    answer: bytes = b""
    error: errors.ServingError | None = None

    @property
    def text(self) -> str:
        """The error's text for the caller."""
        return str(self.error).encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore") if self.error else ""

    @property
    def trailers(self) -> Metadata:
        """How long to wait before a retry, for an Overloaded: as gRPC's retry pushback and as google.rpc.RetryInfo."""
        error = self.error
        if not isinstance(error, errors.Overloaded):
            return ()
        milliseconds = max(1, round(error.retry_after_seconds * 1000))
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(milliseconds)
        status = status_pb2.Status(code=self.code.value[0], message=self.text)
        status.details.add().Pack(retry)
        return (
            ("grpc-retry-pushback-ms", str(milliseconds)),
            ("grpc-status-details-bin", status.SerializeToString()),
        )


def status_of(error: errors.ServingError) -> grpc.StatusCode:
    """The status that callers get for `error`: that of the nearest class in STATUS_OF."""
    return next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)
