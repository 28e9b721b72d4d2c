"""Our own client, installed as anyone would: threads, asyncio, streams, many rows."""
# requirements: -e .

import asyncio
import sys

import numpy as np

from serving.client import AsyncClient, Client, Request

ROWS = np.array([[1, 3, 2], [9, 0, 0]])


def check(what: str, found: object, expected: object) -> None:
    """Say what was checked, or end."""
    if found != expected:
        sys.exit(f"{what}: {found!r} came, {expected!r} was expected")
    print(f"  {what}")


async def ask_at_once(address: str) -> list[str]:
    """The labels of calls that are under way together."""
    async with AsyncClient(address, connections=4) as client:
        answers = await asyncio.gather(*(client.predict("letters", row) for row in np.eye(3)))
        return [answer.predictions[0].label for answer in answers]


def main() -> None:
    """Each way to ask."""
    address = sys.argv[1]
    with Client(address, connections=4) as client:
        client.wait_ready(10)
        check("a bare array", [row.label for row in client.predict("letters", ROWS).predictions], ["b", "a"])
        check("named features", client.predict("sums", {"a": 1, "b": 0, "c": 0}).predictions[0].label, "positive")
        pair = {"a": np.array([[1, 2]], np.float32), "b": np.array([[3, 4]], np.float32)}
        check("outputs by name", client.predict("pairs", pair).outputs["sum"].tolist(), [[4, 6]])
        streamed = client.predict_stream(Request("letters", row, id=str(index)) for index, row in enumerate(ROWS))
        check("a stream", [answer.id for answer in streamed], ["0", "1"])
        told: list[tuple[int, int]] = []
        every = client.predict_all(
            "letters", np.eye(3)[np.arange(20_000) % 3], on_progress=lambda *rows: told.append(rows)
        )
        check("20,000 rows", [row.class_index for row in every.predictions], [index % 3 for index in range(20_000)])
        check("progress", told[-1], (20_000, 20_000))
        check("a model's labels", client.model("shades").labels, ("dark", "middle", "bright"))
    check("asyncio", asyncio.run(ask_at_once(address)), ["a", "b", "c"])


main()
