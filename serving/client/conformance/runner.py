"""Tries the checks, one after the other; none stops the others.

Owns the order of the checks and the outcome of each. Does not know how results are shown.
"""

import time
from collections.abc import Iterator, Sequence

from serving.client.conformance import answer_checks, extension_checks, limit_checks, refusal_checks, server_checks
from serving.client.conformance.check import BrokenPromise, Check, NotTried, Outcome, Result
from serving.client.conformance.subject import Subject
from serving.client.conformance.target import Target
from serving.client.connection import Connection

CHECKS: tuple[Check[Subject], ...] = (
    *server_checks.CHECKS,
    *answer_checks.CHECKS,
    *refusal_checks.CHECKS,
    *extension_checks.CHECKS,
    # Last, since it ends with the question whether the server has borne all of this.
    *limit_checks.CHECKS,
)


def examine(connection: Connection, models: Sequence[str], seconds: float) -> Iterator[Result]:
    """Each check's result, as it comes. `seconds` is the time of each.

    Raises Unavailable, at the first one, if no server answers.
    """
    with Target(connection, seconds) as target:
        subject = Subject(target, models)
        subject.find_models()
        for check in CHECKS:
            yield attempt(check, subject)


def attempt(check: Check[Subject], subject: Subject) -> Result:
    """Try one check."""
    subject.target.start_clock()
    began = time.monotonic()
    told: dict[str, str] = {}
    try:
        check.attempt(subject)
        outcome: Outcome = "pass"
    except NotTried as reason:
        outcome, told = "skip", {"reason": str(reason)}
    except BrokenPromise as broken:
        outcome = "fail" if check.severity == "must" else "differs"
        told = {"expected": broken.expected, "sent": broken.sent, "came": broken.came}
    return Result(check.name, check.severity, check.promise, check.source, outcome, time.monotonic() - began, **told)
