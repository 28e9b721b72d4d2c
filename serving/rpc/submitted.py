"""A call under way without a task of its own.

Owns its way from the queue to the reply, for a transport that takes many calls at once. Does not know that transport.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Any

import grpc

from serving.inference.batcher import Batcher
from serving.inference.signature import Tensors
from serving.inference.waiting import Waiting, Witness
from serving.rpc.methods import Call, Reply, Run
from serving.rpc.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from serving.rpc.call_trace import CallTrace
    from serving.rpc.request_boundary import RequestBoundary


class Submitted:
    """A call whose outcome is sent when it is there: the slot that a batcher fills, or the end of a task."""

    __slots__ = ("_boundary", "_call", "_done", "_method", "_reply", "_run", "_started", "_task", "_waiting")

    def __init__(self, boundary: "RequestBoundary", method: str, call: Call, reply: Reply) -> None:
        self._boundary = boundary
        self._method = method
        self._call = call
        self._reply = reply
        self._started = time.perf_counter()
        self._done = False
        self._run: Run | None = None
        self._waiting: Waiting | None = None
        self._task: asyncio.Task[bytes] | None = None

    def queue(self, run: Run) -> None:
        """Queue the rows of `run`. Raises as `Batcher.submit` does."""
        self._submit(run, None)

    def follow(self, answer: "Coroutine[Any, Any, bytes]") -> None:
        """Answer with what `answer` returns or raises."""
        self._task = asyncio.create_task(answer)
        self._task.add_done_callback(self._followed)

    @property
    def batcher(self) -> Batcher | None:
        """What has to be started for the rows to run."""
        return self._run.model.batcher if self._run else None

    def done(self) -> bool:
        """Whether there is an outcome, or nobody who waits for one."""
        return self._done

    def set_result(self, outputs: Tensors) -> None:
        """Answer with what becomes of the outputs of the run."""
        if self._run is None:
            raise RuntimeError("outputs came for a call that asked for no run")
        try:
            answer = self._run.finish(outputs)
        except Exception as error:  # noqa: BLE001 - the caller gets a status, the log the trace
            self.set_exception(error)
        else:
            self._end(Outcome(grpc.StatusCode.OK, answer))

    def set_exception(self, error: Exception) -> None:
        """Answer with the status of `error`."""
        self._end(self._boundary.failed(self._method, self._call, error))

    def cancel(self) -> None:
        """The caller is gone: its rows leave the queue."""
        if self._task is not None:
            self._task.cancel()
        elif not self._done:
            run, waiting = self._run, self._waiting
            self._end(Outcome(grpc.StatusCode.CANCELLED))
            if run is not None and waiting is not None:
                run.model.batcher.discard(waiting)

    def _followed(self, task: "asyncio.Task[bytes]") -> None:
        if task.cancelled():
            self._end(Outcome(grpc.StatusCode.CANCELLED))
        elif isinstance(error := task.exception(), Exception):
            self.set_exception(error)
        else:
            self._end(Outcome(grpc.StatusCode.OK, task.result()))

    def _submit(self, run: Run, witness: Witness | None) -> None:
        self._run = run
        self._waiting = run.model.batcher.submit(run.inputs, self._call.deadline, self, run.priority, witness)

    def _end(self, outcome: Outcome) -> None:
        self._done = True
        # What waits refers to this, its slot: in a circle, the rows of each call would wait for the collector.
        self._waiting = None
        trailers = self._boundary.account(self._method, self._call, outcome, time.perf_counter() - self._started)
        if outcome.code is grpc.StatusCode.OK:
            self._reply.answer(outcome.answer, trailers)
        else:
            self._reply.fail(outcome.code, outcome.text, (*outcome.trailers, *trailers))


class TracedSubmitted(Submitted):
    """The same with `trace`, its notes. A class of its own, so that calls which are not traced pay nothing."""

    __slots__ = ("_trace",)

    def __init__(self, boundary: "RequestBoundary", method: str, call: Call, reply: Reply, trace: "CallTrace") -> None:
        super().__init__(boundary, method, call, reply)
        self._trace = trace

    def queue(self, run: Run) -> None:
        """See Submitted."""
        self._trace.mark_decoded(run.model.signature.rows(run.inputs))
        self._submit(run, self._trace)

    def set_result(self, outputs: Tensors) -> None:
        """See Submitted."""
        self._trace.mark_encoding()
        super().set_result(outputs)
