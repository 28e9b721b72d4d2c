"""What the servicers, the boundary and the transports say to each other.

Owns the description of a method and of a call. Does not know what a method does, nor what carries it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import grpc
from google.protobuf.message import Message
from msgspec import Struct

from serving.inference.signature import Tensors
from serving.inference.waiting import NORMAL
from serving.repository.served_model import ServedModel
from serving.rpc import request_id
from serving.rpc.call_trace import CallTrace

Request = TypeVar("Request", bound=Message)

Metadata = tuple[tuple[str, str | bytes], ...]
"""Leading or trailing metadata."""


class Call(Struct):
    """What a servicer knows of the call besides its message; it tells which model answers.

    `deadline`: seconds of time.monotonic(). `metadata` is asked for only where requests are split. `split_key`: the
    name of the metadata that keeps requests together, or "". `request_id`: what the message says. `trace`: of a call
    that is traced.
    """

    deadline: float
    metadata: Callable[[], Metadata] = tuple
    split_key: str = ""
    served: ServedModel | None = None
    request_id: str = ""
    trace: CallTrace | None = None

    def identify(self) -> str:
        """The id by which the call is written down, the same each time."""
        self.request_id = request_id.request_id(self.request_id, self.metadata())
        return self.request_id

    def key(self) -> str:
        """What keeps requests of a split together: the metadata that was named for it, or else the request's id."""
        if self.split_key:
            for name, value in self.metadata():
                if name == self.split_key and value:
                    return value if isinstance(value, str) else value.decode(errors="replace")
        return self.request_id


class Run(Struct, frozen=True):
    """A request that is ready to run: what goes to which model, and how its outputs become the bytes of the answer.

    `priority`: NORMAL or LOW.
    """

    model: ServedModel
    inputs: Tensors
    finish: Callable[[Tensors], bytes]
    priority: int = NORMAL


@dataclass(frozen=True, slots=True)
class Method(Generic[Request]):
    """One unary method: how its messages parse and who answers."""

    name: str
    request_type: type[Request]
    respond: Callable[[Request, Call], Awaitable[Message]]

    async def answer(self, request: Request, call: Call) -> bytes:
        """The bytes of the response."""
        return (await self.respond(request, call)).SerializeToString()


@dataclass(frozen=True, slots=True)
class RunMethod(Generic[Request]):
    """A unary method that is one run of a model, so that a transport can take many of its calls at once.

    `prepare` does all that comes before the run; it may bring the call's deadline forward. `is_heavy` tells for which
    requests that is so much that another thread should do it. `recall` prepares from the bytes of a request, if `learn`
    was told of one like it; see `serving.rpc.request_heads`.
    """

    name: str
    request_type: type[Request]
    prepare: Callable[[Request, Call], Run]
    is_heavy: Callable[[Request], bool]
    recall: Callable[[bytes, Call], Run | None] = lambda _data, _call: None
    learn: Callable[[bytes, Request, Run], None] = lambda _data, _request, _run: None

    async def answer(self, request: Request, call: Call) -> bytes:
        """Prepare, run and finish; the bytes of the response."""
        heavy = self.is_heavy(request)
        run = await asyncio.to_thread(self.prepare, request, call) if heavy else self.prepare(request, call)
        trace = call.trace
        if trace is not None:
            trace.mark_decoded(run.model.signature.rows(run.inputs))
        outputs = await run.model.predict(run.inputs, call.deadline, run.priority, trace)
        if trace is not None:
            trace.mark_encoding()
        return run.finish(outputs)


@dataclass(frozen=True, slots=True)
class StreamMethod(Generic[Request]):
    """A method that answers each message of a stream on its own; `failed` is the answer to one that fails.

    Both give the bytes of a response.
    """

    name: str
    request_type: type[Request]
    answer: Callable[[Request, Call], Coroutine[Any, Any, bytes]]
    failed: Callable[[Request | None, int, str], bytes]


UnaryMethod = Method[Any] | RunMethod[Any]

Methods = Sequence[UnaryMethod | StreamMethod[Any]]
"""Those of a service."""


class Reply(Protocol):
    """Where a transport wants the outcome of a call."""

    def answer(self, data: bytes, trailers: Metadata, /) -> None:
        """Send the answer."""
        ...

    def fail(self, code: grpc.StatusCode, text: str, trailers: Metadata, /) -> None:
        """Send a status that is not OK."""
        ...
