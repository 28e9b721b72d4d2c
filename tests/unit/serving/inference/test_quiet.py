"""What is measured is measured alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.inference.quiet import Quiet

SECONDS = 60


def test_several_disturb_at_once():
    quiet = Quiet()
    both = threading.Barrier(2)

    def disturb() -> None:
        with quiet.disturbing():
            both.wait(SECONDS)

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(disturb) for _ in range(2)]:
            future.result(SECONDS)


def test_who_measures_is_alone():
    quiet = Quiet()
    there = 0
    seen: list[int] = []

    def take_part(number: int) -> None:
        nonlocal there
        with quiet.measuring() if number % 2 else quiet.disturbing():
            there += 1
            if number % 2:
                seen.append(there)
            there -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take_part, range(400)))
    assert seen == [1] * 200


def test_one_that_fails_leaves_the_others_their_turn():
    quiet = Quiet()
    for part in (quiet.measuring, quiet.disturbing):
        with pytest.raises(ValueError, match="none"), part():
            int("none")
    with quiet.measuring():
        pass
