"""What was asked on a stream and not yet answered, in order.

Owns how answers of the server and requests that never got that far are brought into one order. Does not know channels:
`Client` and `AsyncClient` feed it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from protos.signet.v1 import prediction_pb2
from serving.client import decoding
from serving.client.answers import Answer, Failure
from serving.client.calls import error_of_number
from serving.client.operations import parsed
from serving.errors import InternalError, ServingError


@dataclass(slots=True)
class _Sent:
    id: str


@dataclass(slots=True)
class StreamOrder:
    """The requests under way on one stream. One thread may add while another takes.

    `complete`: no more requests follow; only after that may the server end the stream. `broken` is what the caller's
    own iterator raised; it completes the requests, and is raised after the last answer.
    """

    complete: bool = False
    broken: Exception | None = None
    _asked: deque[_Sent | Failure] = field(default_factory=deque)

    def sent(self, message: prediction_pb2.PredictRequest) -> bytes:
        """Note that a request goes to the server; its bytes."""
        self._asked.append(_Sent(message.id))
        return prediction_pb2.PredictStreamRequest(request=message).SerializeToString()

    def refused(self, request_id: str, error: ServingError) -> None:
        """Note a request that cannot be sent."""
        self._asked.append(Failure(request_id, error))

    def answers(self, data: bytes) -> Iterator[Answer | Failure]:
        """What can be handed to the caller now that the server has answered `data`."""
        yield from self._refusals()
        if not self._asked:
            raise InternalError("the server answered more requests than were sent")
        self._asked.popleft()
        message = parsed(prediction_pb2.PredictStreamResponse, data)
        if message.HasField("error"):
            yield Failure(message.id, error_of_number(message.error.code, message.error.message))
        else:
            yield decoding.answer(message.response)

    def rest(self) -> Iterator[Answer | Failure]:
        """What is left when the server has ended the stream; raises InternalError if it owes answers."""
        yield from self._refusals()
        if self._asked or not self.complete:
            raise InternalError("the server ended the stream before it had answered every request")
        if self.broken is not None:
            raise self.broken

    def _refusals(self) -> Iterator[Failure]:
        while self._asked and isinstance(first := self._asked[0], Failure):
            self._asked.popleft()
            yield first
