"""How a call ends: which error it is, and whether it is tried again.

Owns the map from gRPC statuses to error classes and the retry policy, for both clients alike. Does not know what is
called, nor over which channel.
"""

import math
import random
import time
from collections.abc import Mapping
from typing import Any, Self

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from serving import errors

DEFAULT_TIMEOUT_SECONDS = 60.0

PUSHBACK = "grpc-retry-pushback-ms"
REQUEST_ID = "x-request-id"
STATUS_DETAILS = "grpc-status-details-bin"

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0

_ERROR_OF: dict[grpc.StatusCode, type[errors.ServingError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidInput,
    grpc.StatusCode.NOT_FOUND: errors.ModelNotFound,
    grpc.StatusCode.FAILED_PRECONDITION: errors.ModelBroken,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    # Who asks is not known, or may not: to a caller both are a no that another try does not change.
    grpc.StatusCode.UNAUTHENTICATED: errors.PermissionDenied,
    grpc.StatusCode.UNIMPLEMENTED: errors.NotOffered,
}

_CODE_OF_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

_SERVER_SETTING = "raise the server's --max-message-bytes (SIGNET_MAX_MESSAGE_BYTES) or send fewer rows at once"
_CLIENT_SETTING = "raise the client's max_message_bytes or send fewer rows at once"


def serving_error(failed: Any, about: str) -> errors.ServingError:  # noqa: ANN401 - grpc.RpcError has no typed status
    """The error of a call that failed; `failed` is the grpc.RpcError, of either API, and `about` what was asked for.

    It has the request id that the server told, also as a note below its trace. An Overloaded without the server's hint
    when to come back has `retry_after_seconds` infinity.
    """
    trailers = dict(failed.trailing_metadata() or ())
    text = failed.details() or f"{about}: {failed.code().name}"
    error = error_of_status(failed.code(), text, retry_after_seconds(trailers))
    if request_id := trailers.get(REQUEST_ID):
        error.request_id = request_id
        error.add_note(f"request id: {request_id}")
    return error


def error_of_number(code: int, text: str) -> errors.ServingError:
    """The error of a status that came as a number, inside a stream."""
    return error_of_status(_CODE_OF_NUMBER.get(code, grpc.StatusCode.UNKNOWN), text, math.inf)


def error_of_status(code: grpc.StatusCode, text: str, retry_after_seconds: float) -> errors.ServingError:
    """The error of a status."""
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return errors.Overloaded(_with_setting(text), retry_after_seconds)
    return _ERROR_OF.get(code, errors.InternalError)(text or code.name)


class Attempts:
    """One call's time and tries. Counts from its construction; holds for one call alone."""

    def __init__(self, timeout_seconds: float) -> None:
        self._deadline = time.monotonic() + timeout_seconds
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._once = False

    def once(self) -> Self:
        """The same time, for one try."""
        self._once = True
        return self

    def remaining_seconds(self) -> float:
        """What is left of the time."""
        return max(0.0, self._deadline - time.monotonic())

    def pause_after(self, error: errors.ServingError) -> float:
        """Seconds to wait before the next try. Raises `error` if there shall be none.

        Unavailable: doubling pauses, each drawn between half and the whole, so that callers do not come back together.
        Overloaded: as long as the server said. What would end after the deadline is not tried.
        """
        if self._once:
            raise error
        if isinstance(error, errors.Unavailable):
            pause = self._pause_seconds * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        elif isinstance(error, errors.Overloaded):
            pause = error.retry_after_seconds * random.uniform(1.0, 1.1)  # noqa: S311 - no secret
        else:
            raise error
        if pause >= self.remaining_seconds():
            raise error
        return pause


def retry_after_seconds(trailers: Mapping[str, str | bytes]) -> float:
    """When the server says to come back: by gRPC's retry pushback, else by google.rpc.RetryInfo; infinity for never.

    A server behind a transport that keeps the pushback to itself sends RetryInfo alone.
    """
    if PUSHBACK in trailers:
        return _pushback_seconds(trailers[PUSHBACK])
    retry = error_details_pb2.RetryInfo()
    try:
        details = status_pb2.Status.FromString(trailers.get(STATUS_DETAILS, b"")).details
    except DecodeError:
        return math.inf
    if not any(detail.Unpack(retry) for detail in details):
        return math.inf
    return float(retry.retry_delay.ToMilliseconds()) / 1000


def _pushback_seconds(pushback: str | bytes) -> float:
    try:
        milliseconds = int(pushback)
    except ValueError:
        return math.inf
    return milliseconds / 1000 if milliseconds >= 0 else math.inf


def _with_setting(text: str) -> str:
    """GRPC's own text about a message over a limit, and the setting that is the limit."""
    if "eceived message larger than max" in text:
        at_fault = _CLIENT_SETTING if "CLIENT" in text else _SERVER_SETTING
    elif "ent message larger than max" in text:
        at_fault = _SERVER_SETTING if "SERVER" in text else _CLIENT_SETTING
    else:
        return text
    return f"{text}: {at_fault}"
