"""How results are shown: a table and what was not met, or JSON.

Owns columns, marks and sentences. Does not know how results come about.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from serving.client.conformance.check import Outcome, Result
from serving.client.output import print_line, print_table

MARKS: dict[Outcome, str] = {"pass": "✓", "fail": "✗", "differs": "○", "skip": "\N{EN DASH}"}


def print_results(results: Sequence[Result]) -> None:
    """The table, then each promise that was not met, then a sentence."""
    print_table(
        ["", "check", "says", "promise", "not tried because"],
        [(MARKS[one.outcome], one.name, one.severity, one.promise, one.reason) for one in results],
    )
    for one in results:
        if one.outcome in {"fail", "differs"}:
            print_line(f"\n{MARKS[one.outcome]} {one.name}: {one.promise} ({one.source})")
            print_line(f"  sent      {one.sent}\n  expected  {one.expected}\n  came      {one.came}")
    print_line(f"\n{summary(results)}")


def summary(results: Sequence[Result]) -> str:
    """The counts in a sentence."""
    counts = Counter(one.outcome for one in results)
    tried = sum(one.severity == "must" and one.outcome != "skip" for one in results)
    verdict = f"{counts['fail']} of {tried} MUSTs are broken" if counts["fail"] else f"all {tried} MUSTs tried are met"
    return (
        f"{len(results)} checks: {counts['pass']} met, {counts['fail']} broken, {counts['differs']} unlike the "
        f"convention, {counts['skip']} not tried; {verdict}"
    )


def as_json(address: str, models: Sequence[str], results: Sequence[Result]) -> dict[str, Any]:
    """All of it as one JSON object."""
    return {
        "address": address,
        "models": list(models),
        "conforms": conforms(results),
        "outcomes": dict(Counter(one.outcome for one in results)),
        "checks": [{**asdict(one), "seconds": round(one.seconds, 4)} for one in results],
    }


def conforms(results: Sequence[Result]) -> bool:
    """Whether no MUST is broken."""
    return not any(one.outcome == "fail" for one in results)
