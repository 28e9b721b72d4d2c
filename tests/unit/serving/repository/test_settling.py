"""Several models are settled at a time, each to its end."""

import asyncio

import pytest

from serving.repository.settling import settle_each


async def test_no_more_models_are_settled_at_a_time_than_were_said_and_each_has_its_turn():
    under_way: set[str] = set()
    most = 0
    settled = []

    async def settle(name: str) -> None:
        nonlocal most
        under_way.add(name)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.remove(name)
        settled.append(name)

    await settle_each("abcde", settle, 2)
    assert most == 2
    assert sorted(settled) == list("abcde")


async def test_one_that_raises_leaves_the_others_to_their_end_and_is_told_then():
    settled = []

    async def settle(name: str) -> None:
        if name == "a":
            raise RuntimeError("a")
        await asyncio.sleep(0)
        settled.append(name)

    with pytest.raises(RuntimeError, match="a"):
        await settle_each("abc", settle, 2)
    assert settled == ["b", "c"]
