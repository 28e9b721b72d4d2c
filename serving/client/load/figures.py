"""Records in numbers: outcomes, goodput, percentiles; and whether what was expected came true.

Owns what each number means. Does not know how it is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from serving.client.load.generator import NOT_ENDED, RIGHT, UNCHECKED, WRONG, Record
from serving.client.load.plan import Kind

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}

CURVE = (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99)
"""Percentiles of the latency curve in the page."""

_OUTCOME_OF = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: "refused",
    grpc.StatusCode.DEADLINE_EXCEEDED: "deadline",
    grpc.StatusCode.UNAVAILABLE: "unavailable",
}

Figures = dict[str, Any]
"""What JSON can say."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """What makes a load test fail; None asks for nothing.

    `goodput` is in calls a second, or with `goodput_is_share` in parts of the calls that were sent. `errors`: calls
    that were neither answered nor refused, in the whole test.
    """

    p99_ms: float | None = None
    goodput: float | None = None
    goodput_is_share: bool = False
    errors: int | None = None


def figures(records: Sequence[Record], kinds: Sequence[Kind], *, finished: bool, max_late_ms: float) -> Figures:
    """All of a load test, by step and by model. Times in milliseconds, rates in calls or rows a second."""
    models = list(dict.fromkeys(kind.model for kind in kinds))
    told = []
    for record in records:
        of_model = {model: np.array([kind.model == model for kind in kinds]) for model in models}
        everything = np.ones(len(record.arrivals), np.bool_)
        step = {"rate": record.step.rate, **_outcomes(record, kinds, everything)}
        step["generator_late_ms"] = _percentiles(record.late[record.status != NOT_ENDED])
        step["generator_behind"] = step["generator_late_ms"].get("p99", 0.0) > max_late_ms
        step["curve_ms"] = _curve(record.latency[record.status == 0])
        step["by_model"] = {
            model: _outcomes(record, kinds, of_model[model][record.arrivals.kind]) for model in (models)
        }
        told.append(step)
    examples: dict[str, str] = {}
    for record in records:
        examples = {**record.examples, **examples}
    return {
        "finished": finished,
        "max_late_ms": max_late_ms,
        "steps": told,
        "examples": examples,
        "wrong_examples": [text for record in records for text in record.wrong_examples],
    }


def failures(told: Figures, expected: Expectations) -> list[str]:
    """What did not come true, a sentence each; a wrong answer is always one."""
    sentences = []
    steps = told["steps"]
    if wrong := sum(step["wrong"] for step in steps):
        sentences.append(f"{wrong} answers were wrong")
    errors = sum(step["deadline"] + step["unavailable"] + step["other"] for step in steps)
    if expected.errors is not None and errors > expected.errors:
        sentences.append(f"{errors} calls were neither answered nor refused; at most {expected.errors} were expected")
    for number, step in enumerate(steps, 1):
        sentences += [f"step {number} at {step['rate']:g} calls/s: {text}" for text in _misses(step, expected)]
    return sentences


def _misses(step: Figures, expected: Expectations) -> list[str]:
    texts = []
    timed = expected.p99_ms is not None or expected.goodput is not None
    if timed and step["generator_behind"]:
        late = step["generator_late_ms"]["p99"]
        return [f"cannot be judged, since this generator was late by {late:.1f} ms (p99)"]
    p99 = step["accepted_ms"].get("p99")
    if expected.p99_ms is not None and (p99 is None or p99 > expected.p99_ms):
        came = "no answer" if p99 is None else f"a p99 of {p99:.2f} ms"
        texts.append(f"{came} came; at most {expected.p99_ms:g} ms was expected")
    if expected.goodput is not None:
        wanted = expected.goodput * (step["offered_calls_per_second"] if expected.goodput_is_share else 1.0)
        if step["goodput_calls_per_second"] < wanted:
            texts.append(f"{step['goodput_calls_per_second']:.1f} good answers/s came; {wanted:.1f} were expected")
    return texts


def _outcomes(record: Record, kinds: Sequence[Kind], chosen: NDArray[np.bool_]) -> Figures:
    """Of the chosen calls, [calls] bool; what Ctrl-C kept from being made or ended counts nowhere."""
    chosen = chosen & (record.status != NOT_ENDED)
    status = record.status[chosen]
    answered = status == grpc.StatusCode.OK.value[0]
    verdict = record.verdict[chosen]
    latency = record.latency[chosen]
    good = answered & (verdict != WRONG)
    rows = np.array([kind.rows for kind in kinds])[record.arrivals.kind[chosen]]
    counts = {"refused": 0, "deadline": 0, "unavailable": 0, "other": 0}
    statuses: dict[str, int] = {}
    for code in grpc.StatusCode:
        if many := int(np.count_nonzero(status == code.value[0])):
            statuses[code.name] = many
            if code is not grpc.StatusCode.OK:
                counts[_OUTCOME_OF.get(code, "other")] += many
    seconds = record.seconds or 1.0
    return {
        "seconds": record.seconds,
        "calls": len(status),
        "offered_calls_per_second": len(status) / min(seconds, record.step.seconds),
        "ok": int(np.count_nonzero(answered & (verdict == RIGHT))),
        "wrong": int(np.count_nonzero(answered & (verdict == WRONG))),
        "unchecked": int(np.count_nonzero(answered & (verdict == UNCHECKED))),
        **counts,
        "statuses": statuses,
        "goodput_calls_per_second": int(np.count_nonzero(good)) / seconds,
        "goodput_rows_per_second": int(rows[good].sum()) / seconds,
        "accepted_ms": _percentiles(latency[answered]),
        "refused_ms": _percentiles(latency[status == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]]),
    }


def _percentiles(seconds: NDArray[np.float64]) -> dict[str, float]:
    """In milliseconds; each a time that was measured, the higher of the two next to it."""
    if not len(seconds):
        return {}
    values = np.percentile(seconds, list(PERCENTILES.values()), method="higher") * 1000
    return dict(zip(PERCENTILES, values.tolist(), strict=True))


def _curve(seconds: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Percentile and milliseconds, as far as there are calls enough to tell."""
    known = [at for at in CURVE if len(seconds) * (1 - at / 100) >= 1]
    if not known:
        return []
    values = np.percentile(seconds, known, method="higher") * 1000
    return list(zip(known, values.tolist(), strict=True))
