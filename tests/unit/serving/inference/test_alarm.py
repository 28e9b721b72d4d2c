"""One timer for the earliest of many times."""

import asyncio
from types import SimpleNamespace

from serving.inference.alarm import NEVER, Alarm


async def ringing(*times: float, follow: tuple[float, ...] = ()) -> list[float]:
    """When an alarm rang that was set to each of these, and to those that its ringing gave."""
    clock = SimpleNamespace(now=0.0)
    over = asyncio.Event()
    rang: list[float] = []
    left = list(follow)

    def ring() -> float:
        rang.append(clock.now)
        if left:
            clock.now = left.pop(0)
            return clock.now
        over.set()
        return NEVER

    alarm = Alarm(ring, lambda: clock.now)
    for time in times:
        alarm.set(time)
    clock.now = times[-1]
    await asyncio.wait_for(over.wait(), 30)
    assert alarm.time == NEVER
    return rang


async def test_it_rings_once_for_the_time_that_was_set_last():
    assert await ringing(1e9, 0.01) == [0.01]


async def test_it_rings_on_for_the_times_that_ringing_gives():
    assert await ringing(0.0, follow=(2.0, 5.0)) == [0.0, 2.0, 5.0]


async def test_a_time_that_has_passed_rings_in_the_loop_s_next_turn():
    assert await ringing(-3.0) == [-3.0]


async def test_it_is_silent_once_stopped():
    rang = []

    def ring() -> float:
        rang.append(0.0)
        return NEVER

    alarm = Alarm(ring, lambda: 0.0)
    alarm.set(0.0)
    alarm.stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (rang, alarm.time) == ([], NEVER)
