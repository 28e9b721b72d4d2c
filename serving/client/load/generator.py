"""Sends each call at its time, whether or not the calls before it were answered.

Owns the clock: a call's latency counts from when it should have been sent, so that a server that stalls is seen by
every call that it held up, and how late the sender itself was is recorded beside it. Does not know what is good or bad.
"""

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np
from grpc import aio
from numpy.typing import NDArray

from protos.signet.v1 import prediction_pb2
from serving.client import operations
from serving.client.connection import Connection
from serving.client.load.plan import Arrivals, Step
from serving.client.load.questions import Question

NOT_ENDED = -1
RIGHT, WRONG, UNCHECKED = 0, 1, 2

CONNECT_SECONDS = 10.0
MAX_EXAMPLES = 5
GRACE_SECONDS = 2.0
"""Beyond the last deadline, for the client library to say so."""

PREDICT_PATH = operations.predict(prediction_pb2.PredictRequest()).path

Progress = Callable[[int, float], None]
"""Told of the step, counted from 0, and of the seconds since its start."""


@dataclass(slots=True, eq=False)
class Record:
    """What became of the calls of a step; arrays are [calls], times float64 seconds.

    `latency` counts from `arrivals.at`; `late`: how long after it the call was sent. `status`: a gRPC code's number, or
    NOT_ENDED. `verdict` of an answer: RIGHT, WRONG or UNCHECKED. `seconds`: from the start to the end of the step, or
    of its last good answer if that came later. `examples`: texts, the first of each sort.
    """

    step: Step
    arrivals: Arrivals
    status: NDArray[np.int16]
    verdict: NDArray[np.int8]
    latency: NDArray[np.float64]
    late: NDArray[np.float64]
    seconds: float = 0.0
    examples: dict[str, str] = field(default_factory=dict)
    wrong_examples: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, step: Step, arrivals: Arrivals) -> "Record":
        """A record of calls none of which has been made."""
        calls = len(arrivals)
        return cls(
            step,
            arrivals,
            status=np.full(calls, NOT_ENDED, np.int16),
            verdict=np.zeros(calls, np.int8),
            latency=np.zeros(calls),
            late=np.zeros(calls),
        )


class Generator:
    """Makes the calls of one load test over connections of their own."""

    def __init__(
        self,
        connection: Connection,
        questions: Sequence[Sequence[Question]],
        *,
        deadline_seconds: float,
        on_progress: Progress,
    ) -> None:
        self._connection = connection
        self._questions = questions
        self._deadline_seconds = deadline_seconds
        self._on_progress = on_progress
        self._methods: list[aio.UnaryUnaryMultiCallable[bytes, bytes]] = []
        self._asked: Counter[int] = Counter()
        self._start = 0.0

    def run(self, plan: Sequence[tuple[Step, Arrivals]]) -> tuple[list[Record], bool]:
        """The records of the steps that were begun, and whether all were carried out: Ctrl-C ends it early."""
        # select() waits to the microsecond; the default selector rounds each wait up to a millisecond.
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
            return runner.run(self._run(plan))

    async def _run(self, plan: Sequence[tuple[Step, Arrivals]]) -> tuple[list[Record], bool]:
        channels = self._connection.async_channels()
        records: list[Record] = []
        try:
            connecting = (asyncio.wait_for(channel.channel_ready(), CONNECT_SECONDS) for channel in channels)
            await asyncio.gather(*connecting, return_exceptions=True)
            self._methods = [channel.unary_unary(PREDICT_PATH) for channel in channels]
            for index, (step, arrivals) in enumerate(plan):
                records.append(Record.empty(step, arrivals))
                await self._run_step(index, records[-1])
        except asyncio.CancelledError:
            return records, False
        finally:
            await asyncio.gather(*(channel.close() for channel in channels))
        return records, True

    async def _run_step(self, index: int, record: Record) -> None:
        loop = asyncio.get_running_loop()
        self._start = loop.time()
        ticking = loop.create_task(self._tick(index))
        under_way: set[asyncio.Task[None]] = set()
        try:
            await self._send(record, under_way)
            await asyncio.sleep(self._start + record.step.seconds - loop.time())
            if under_way:
                await asyncio.wait(under_way, timeout=self._deadline_seconds + GRACE_SECONDS)
        finally:
            ended = loop.time() - self._start
            ticking.cancel()
            # gather keeps what was cancelled from being reported as lost.
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            good = (record.status == 0) & (record.verdict != WRONG)
            last = float(np.max((record.arrivals.at + record.latency)[good], initial=0.0))
            record.seconds = max(min(record.step.seconds, ended), last)

    async def _send(self, record: Record, under_way: set[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()
        for index, (at, kind) in enumerate(
            zip(record.arrivals.at.tolist(), record.arrivals.kind.tolist(), strict=True)
        ):
            wait = self._start + at - loop.time()
            # Behind its time, it still lets the loop read answers between two calls.
            await asyncio.sleep(max(wait, 0))
            questions = self._questions[kind]
            question = questions[self._asked[kind] % len(questions)]
            self._asked[kind] += 1
            task = loop.create_task(self._call(record, index, at, question))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    async def _call(self, record: Record, index: int, at: float, question: Question) -> None:
        clock = asyncio.get_running_loop().time
        late = clock() - self._start - at
        record.late[index] = late
        method = self._methods[index % len(self._methods)]
        try:
            # A caller would have had its deadline from when it meant to call.
            data = await method(
                question.message,
                timeout=max(self._deadline_seconds - late, 1e-6),
                metadata=self._connection.metadata,
            )
        except aio.AioRpcError as failed:
            code = failed.code()
            record.latency[index] = clock() - self._start - at
            record.status[index] = code.value[0]
            if code.name not in record.examples:
                record.examples[code.name] = failed.details() or ""
            return
        record.latency[index] = clock() - self._start - at
        record.status[index] = grpc.StatusCode.OK.value[0]
        fault = question.fault(data)
        if fault is None:
            record.verdict[index] = UNCHECKED
        elif fault:
            record.verdict[index] = WRONG
            if len(record.wrong_examples) < MAX_EXAMPLES:
                record.wrong_examples.append(fault)

    async def _tick(self, index: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._on_progress(index, loop.time() - self._start)
            await asyncio.sleep(0.5)
