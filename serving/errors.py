"""Every error that a caller may be told about.

    ServingError
    ├── InvalidInput          the request is wrong and stays wrong: do not send it again
    ├── ModelNotFound         no such model or version
    ├── ModelBroken           the version is here but FAILED to load
    ├── Unavailable           not now; a later try may succeed
    │   └── ModelNotReady     the version is LOADING or UNLOADING
    ├── Overloaded            the queue is full; `retry_after_seconds` says when to come back
    ├── DeadlineExceeded      the caller's time was over before its rows were answered
    ├── PermissionDenied      the server was not started to allow this
    ├── NotOffered            a method of a protocol that is spoken here without it; the text says what to use instead
    └── InternalError         our fault; the reason is in the server's log alone

Owns the tree and its texts' contract: a text names the model, the field, what came and what was expected, and nothing
internal (no path, no trace). Does not know gRPC: `serving.rpc.request_boundary` maps each class to its status, and the
client maps the status back to the class.
"""


class ServingError(Exception):
    """The root; its text is written for the caller.

    `request_id`: in a client, the id by which the server's log and traces know the call; "" if the server told none.
    """

    request_id: str = ""


class InvalidInput(ServingError):
    """The request is wrong and stays wrong."""


class ModelNotFound(ServingError):
    """No such model or version."""


class ModelBroken(ServingError):
    """The version is here but FAILED to load."""


class Unavailable(ServingError):
    """Not now; a later try may succeed."""


class ModelNotReady(Unavailable):
    """The version is LOADING or UNLOADING."""


class Overloaded(ServingError):
    """The queue is full; come back after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceeded(ServingError):
    """The caller's time was over before its rows were answered."""


class PermissionDenied(ServingError):
    """The server was not started to allow this."""


class NotOffered(ServingError):
    """A method of a protocol that is spoken here without it; the text says what to use instead."""


class InternalError(ServingError):
    """Our fault; the reason is in the server's log alone."""
