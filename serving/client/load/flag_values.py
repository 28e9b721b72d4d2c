"""The values of `signet load-test`'s flags: text → numbers, or a sentence.

Owns what each may be. Does not know what they do.
"""

import argparse
import math
from collections.abc import Callable

MAX_RATE = 1e6
MAX_ROWS = 1_000_000


def above_zero(text: str) -> float:
    """A finite number above 0."""
    number = _number(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} came; a number above 0 was expected")
    return number


def count(lowest: int, highest: int) -> Callable[[str], int]:
    """Reads a whole number from `lowest` to `highest`."""

    def read(text: str) -> int:
        if not (text.isdecimal() and len(text) < 20 and lowest <= int(text) <= highest):  # noqa: PLR2004
            raise argparse.ArgumentTypeError(f"{text!r} came; a number from {lowest} to {highest} was expected")
        return int(text)

    return read


def rate(text: str) -> tuple[float, float]:
    """`N` or `N..M`, calls a second: the lowest and the highest rate."""
    lowest, dots, highest = text.partition("..")
    first, last = _number(lowest), _number(highest if dots else lowest)
    if not (0 < first <= MAX_RATE and 0 < last <= MAX_RATE):
        raise argparse.ArgumentTypeError(f"{text!r} came; calls a second, N or N..M up to {MAX_RATE:g}, was expected")
    return first, last


def rows(text: str) -> list[int]:
    """`N,N,...`: row counts."""
    read = count(1, MAX_ROWS)
    return [read(one) for one in text.split(",")]


def weight(text: str) -> tuple[str, float]:
    """`MODEL=N`: a model's part of the calls."""
    name, _, number = text.rpartition("=")
    if not (name and 0 < _number(number) <= MAX_RATE):
        raise argparse.ArgumentTypeError(f"{text!r} came; MODEL=N with a number above 0 was expected")
    return name, float(number)


def goodput(text: str) -> tuple[float, bool]:
    """`N` calls a second, or `N%` of those sent; with whether it is a share."""
    number = _number(text.removesuffix("%"))
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} came; calls a second or a percentage was expected")
    return (number / 100, True) if text.endswith("%") else (number, False)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
