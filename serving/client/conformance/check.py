"""What a check is: a promise, who makes it, and how it is tried.

Owns the words of results. Does not know the protocol's messages.

must: the specification says it, and a server that does otherwise fails. convention: the specification is silent,
clients may still rely on it; a server that does otherwise differs, which is not a failure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Severity = Literal["must", "convention"]
Outcome = Literal["pass", "fail", "differs", "skip"]

Subject = TypeVar("Subject")


class BrokenPromise(Exception):
    """The server did otherwise: what was `sent`, what `came`, and what was `expected` instead."""

    def __init__(self, sent: str, came: str, expected: str) -> None:
        super().__init__(expected)
        self.sent = sent
        self.came = came
        self.expected = expected


class NotTried(Exception):
    """The check has nothing to try here; its text is the reason."""


@dataclass(frozen=True, slots=True)
class Check(Generic[Subject]):
    """One promise. `source`: where the specification makes it, or whose convention it is."""

    name: str
    severity: Severity
    promise: str
    source: str
    attempt: Callable[[Subject], None]

    @property
    def group(self) -> str:
        """What its name begins with."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one check. `reason` of a skip; `expected`, `sent` and `came` of one that was not met."""

    name: str
    severity: Severity
    promise: str
    source: str
    outcome: Outcome
    seconds: float
    reason: str = ""
    expected: str = ""
    sent: str = ""
    came: str = ""


def must(name: str, promise: str, source: str) -> Callable[[Callable[[Subject], None]], Check[Subject]]:
    """Make a check of what the specification demands; the function raises BrokenPromise or NotTried."""
    return lambda attempt: Check(name, "must", promise, source, attempt)


def convention(name: str, promise: str, source: str) -> Callable[[Callable[[Subject], None]], Check[Subject]]:
    """Make a check of what is usual, the specification being silent."""
    return lambda attempt: Check(name, "convention", promise, source, attempt)
