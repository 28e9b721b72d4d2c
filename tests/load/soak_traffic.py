"""The mixed traffic of the soak: what good clients send, bad ones, and those that leave.

Owns the kinds of traffic and what each must come back with. Does not know how the server is doing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc import aio

from protos.signet.v1.prediction_pb2 import PredictRequest, PredictStreamRequest, PredictStreamResponse
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.contract.requests import letters, shades, sums
from tests.raw_http2 import RawConnection

CALL_SECONDS = 30.0
ROWS = np.eye(3, dtype=np.float32)[np.arange(256) % 3]
LABELS = ["abc"[place % 3] for place in range(256)]
STREAM_REQUESTS = 100
LEAVES_AFTER_SECONDS = 0.01
PAUSE_SECONDS = 0.05
"""Who gave up waits before it asks again, as clients with a back-off do: a tenth of all calls, or fewer."""
PREDICT = "/signet.v1.Prediction/Predict"

# The stubs are typed for the channels of threads.
Act = Callable[[Any, str], Awaitable[str]]


def put_models(repository: Path) -> None:
    """The models that are asked."""
    tiny.put_bare(repository, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    tiny.put_bare(repository, "slow", tiny.slow_model())
    tiny.put_shades(repository)
    tiny.put_sums(repository)


class Traffic:
    """Sends until a time; `outcomes` counts by (kind, what came)."""

    def __init__(self, address: str, seconds: float) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._address = address
        self._end = time.monotonic() + seconds

    def run(self) -> None:
        """Blocks until the time is over."""
        asyncio.run(self._run())

    def unexpected(self) -> dict[str, int]:
        """What came and must not, and kinds of which nothing came."""
        wrong = {
            f"{kind}: {what}": count
            for (kind, what), count in self.outcomes.items()
            if what != EXPECTED[kind] and not (kind in LEAVING and what == TURNED_AWAY)
        }
        absent = {f"{kind}: nothing": 0 for kind, what in EXPECTED.items() if not self.outcomes[kind, what]}
        return wrong | absent

    async def _run(self) -> None:
        own = [("grpc.use_local_subchannel_pool", 1)]
        async with aio.insecure_channel(self._address) as good, aio.insecure_channel(self._address, own) as leaving:
            stubs = {True: PredictionStub(leaving), False: PredictionStub(good)}
            await asyncio.gather(*(self._repeat(kind, act, stubs[kind in LEAVING]) for kind, act in ACTS))

    async def _repeat(self, kind: str, act: Act, stub: Any) -> None:
        while time.monotonic() < self._end:
            try:
                what = await act(stub, self._address)
            except aio.AioRpcError as error:
                what = error.code().name
            self.outcomes[kind, what] += 1
            if kind in GIVING_UP:
                await asyncio.sleep(PAUSE_SECONDS)


async def one_row(stub: Any, _: str) -> str:
    """One row of numbers."""
    answer = await stub.Predict(letters([[0, 9, 0]]), timeout=CALL_SECONDS)
    return "right" if answer.predictions[0].label == "b" else "wrong"


async def features_and_image(stub: Any, _: str) -> str:
    """Named features, then an image."""
    figures = await stub.Predict(sums({"a": 1, "b": 2, "c": 3}), timeout=CALL_SECONDS)
    image = await stub.Predict(shades(255), timeout=CALL_SECONDS)
    labels = [figures.predictions[0].label, image.predictions[0].label]
    return "right" if labels == ["positive", "bright"] else "wrong"


async def many_rows(stub: Any, _: str) -> str:
    """256 rows."""
    answer = await stub.Predict(letters(ROWS, return_outputs=True), timeout=CALL_SECONDS)
    return "right" if [one.label for one in answer.predictions] == LABELS else "wrong"


async def stream(stub: Any, _: str) -> str:
    """A stream of its own, to its end."""
    requests = [PredictStreamRequest(request=letters([[9, 0, 0]], id=f"{n}")) for n in range(STREAM_REQUESTS)]
    answers: list[PredictStreamResponse] = [one async for one in stub.PredictStream(iter(requests))]
    return "right" if [one.id for one in answers] == [f"{n}" for n in range(STREAM_REQUESTS)] else "wrong"


async def bad_request(stub: Any, _: str) -> str:
    """A wrong shape, then a model that nobody has."""
    codes = []
    for request in (letters([[1, 2]]), PredictRequest(model="nobody")):
        try:
            await stub.Predict(request, timeout=CALL_SECONDS)
        except aio.AioRpcError as error:
            codes.append(error.code())
    return "refused" if codes == [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND] else "wrong"


async def cancelled_call(stub: Any, _: str) -> str:
    """A call for a slow model, left while it waits or runs."""
    call = stub.Predict(tiny.slow_request(), timeout=CALL_SECONDS)
    await asyncio.sleep(LEAVES_AFTER_SECONDS)
    call.cancel()
    try:
        await call
    except asyncio.CancelledError:
        return "left"
    return "left"


async def late_call(stub: Any, _: str) -> str:
    """A call for a slow model, with less time than a run takes."""
    try:
        await stub.Predict(tiny.slow_request(), timeout=0.002)
    except aio.AioRpcError as error:
        # Refused at the door, where the rows that wait would take too long.
        late = error.code() in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
        return "late" if late else error.code().name
    return "late"


async def reconnecting_client(_: Any, address: str) -> str:
    """A connection for one call."""
    async with aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        return await one_row(PredictionStub(channel), address)


async def broken_connection(_: Any, address: str) -> str:
    """A call whose connection is reset while it is under way."""
    with RawConnection(int(address.rsplit(":", 1)[1])) as raw:
        raw.call(PREDICT, tiny.slow_request().SerializeToString())
        await asyncio.sleep(LEAVES_AFTER_SECONDS)
        raw.reset()
    return "broken"


ACTS: tuple[tuple[str, Act], ...] = (
    *[("one row", one_row)] * 4,
    ("features and image", features_and_image),
    ("256 rows", many_rows),
    ("stream", stream),
    ("bad request", bad_request),
    ("cancelled call", cancelled_call),
    ("late call", late_call),
    ("reconnecting client", reconnecting_client),
    ("broken connection", broken_connection),
)

LEAVING = frozenset({"cancelled call", "late call"})
"""Those have a connection of their own: the native front ends one on which calls are cancelled too fast."""

GIVING_UP = LEAVING | {"broken connection"}

TURNED_AWAY = grpc.StatusCode.UNAVAILABLE.name

EXPECTED = {kind: "right" for kind, _ in ACTS} | {
    "bad request": "refused",
    "cancelled call": "left",
    "late call": "late",
    "broken connection": "broken",
}
