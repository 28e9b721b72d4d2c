"""A load test as tables and sentences.

Owns columns and wording. Does not know how the numbers were made.
"""

from collections.abc import Iterator, Sequence

from serving.client.load.figures import PERCENTILES, Figures
from serving.client.output import print_line, print_table

OUTCOMES = ("ok", "wrong", "unchecked", "refused", "deadline", "unavailable", "other")
OUTCOME_COLUMNS = ("step", "model", "calls/s", "calls", *OUTCOMES, "good calls/s", "good rows/s")
LATENCY_COLUMNS = ("step", "model", "ms", *PERCENTILES)


def print_figures(told: Figures, failed: Sequence[str]) -> None:
    """Outcomes, then latencies, then what is worth a sentence."""
    print_table(OUTCOME_COLUMNS, outcome_rows(told))
    print_line("")
    print_table(LATENCY_COLUMNS, latency_rows(told))
    print_line("")
    for line in remarks(told, failed):
        print_line(line)


def outcome_rows(told: Figures) -> list[list[str]]:
    """A row a step, and one a model if there are several; none is ""."""
    return [_outcomes(*part) for part in _parts(told)]


def latency_rows(told: Figures) -> list[list[str]]:
    """As `outcome_rows`, of calls answered, of calls refused, and of how late the generator was."""
    return [row for part in _parts(told) for row in _latencies(*part)]


def remarks(told: Figures, failed: Sequence[str]) -> Iterator[str]:
    """What the numbers alone do not say."""
    if not told["finished"]:
        yield "stopped before its end: calls that had not ended are not counted"
    for number, step in enumerate(told["steps"], 1):
        if step["generator_behind"]:
            late = step["generator_late_ms"]["p99"]
            yield (
                f"step {number}: this generator fell behind, its calls went out up to {late:.1f} ms late (p99; at most "
                f"{told['max_late_ms']:g} are taken for on time): the latencies are partly its own"
            )
    yield from (f"wrong: {text}" for text in told["wrong_examples"][:5])
    yield from (f"{status}: {text}" for status, text in told["examples"].items())
    yield from (f"FAILED: {text}" for text in failed)
    if not failed and told["finished"]:
        yield "every answer was checked, none was wrong" if _all_checked(told) else "no answer was wrong"


def _all_checked(told: Figures) -> bool:
    return all(step["unchecked"] == 0 for step in told["steps"]) and any(step["ok"] for step in told["steps"])


def _parts(told: Figures) -> Iterator[tuple[str, str, Figures]]:
    """Step, model and figures: each step whole, then by model if there are several."""
    for number, step in enumerate(told["steps"], 1):
        yield str(number), "all" if len(step["by_model"]) > 1 else next(iter(step["by_model"])), step
        if len(step["by_model"]) > 1:
            yield from ((str(number), model, part) for model, part in step["by_model"].items())


def _outcomes(step: str, model: str, part: Figures) -> list[str]:
    counts = [str(part[name]) if part[name] or name == "ok" else "" for name in OUTCOMES]
    rates = [f"{part[f'goodput_{what}_per_second']:.1f}" for what in ("calls", "rows")]
    return [step, model, f"{part['offered_calls_per_second']:.1f}", str(part["calls"]), *counts, *rates]


def _latencies(step: str, model: str, part: Figures) -> Iterator[list[str]]:
    for name, field in (("answered", "accepted_ms"), ("refused", "refused_ms"), ("sent late", "generator_late_ms")):
        if part.get(field):
            yield [step, model, name, *(f"{part[field][one]:.2f}" for one in PERCENTILES)]
