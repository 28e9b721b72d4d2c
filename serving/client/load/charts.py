"""The charts of a load test's page, as SVG.

Owns axes, bars and lines; colours are classes that the page fills in. Does not know the page around them.
"""

import math
from collections.abc import Sequence
from html import escape

from serving.client.load.figures import Figures

WIDTH, HEIGHT = 520, 280
LEFT, RIGHT, TOP, BOTTOM = 66, 26, 16, 44
LINES = ("p50", "p90", "p99", "max")
MOST_CURVES = 6

Point = tuple[float, float]


def outcome_bars(steps: Sequence[Figures]) -> str:
    """A bar a step: calls a second that were sent, divided into answered well, refused, and all else."""
    highest = max(step["offered_calls_per_second"] for step in steps) or 1.0
    row, space = 34, WIDTH - LEFT - 70
    parts = []
    for index, step in enumerate(steps):
        top, left, calls = index * row + 8, float(LEFT), max(step["calls"], 1)
        good = step["ok"] + step["unchecked"]
        counts = {"good": good, "refused": step["refused"], "bad": step["calls"] - good - step["refused"]}
        parts.append(_text(LEFT - 8, top + 15, f"{step['rate']:g}/s", "end"))
        for name, many in counts.items():
            width = space * step["offered_calls_per_second"] / highest * many / calls
            title = f"<title>{many} of {step['calls']} calls</title>"
            parts.append(
                f'<rect class="{name}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="20">{title}</rect>'
            )
            left += width
        parts.append(_text(left + 6, top + 15, f"{100 * good / calls:.1f} %"))
    return _svg(len(steps) * row + 8, parts, "Outcomes by step")


def latency_by_step(steps: Sequence[Figures]) -> str:
    """Latency of answered calls against the rate that was asked for, on a logarithmic axis."""
    lines = [(name, [(step["rate"], step["accepted_ms"].get(name, 0.0)) for step in steps]) for name in LINES]
    rates: list[float] = sorted({step["rate"] for step in steps})
    low, high = rates[0], rates[-1]

    def across(value: float) -> float:
        return (value - low) / (high - low or 1.0)

    ticks = [(across(value), f"{value:g}") for value in _thinned(rates)]
    return _lines([(name, [(across(x), y) for x, y in points]) for name, points in lines], ticks, "calls/s asked for")


def latency_curves(steps: Sequence[Figures]) -> str:
    """Latency of answered calls by percentile, a line a step; each further nine is as wide as the one before."""

    def across(percentile: float) -> float:
        return -math.log10(1 - percentile / 100) / 4

    shown = [steps[index] for index in _spread(len(steps), MOST_CURVES)]
    lines = [(f"{one['rate']:g}/s", [(across(at), ms) for at, ms in one["curve_ms"]]) for one in shown]
    ticks = [(across(at), f"p{at:g}") for at in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)]
    return _lines(lines, ticks, "percentile")


def _lines(lines: Sequence[tuple[str, Sequence[Point]]], ticks: Sequence[tuple[float, str]], below: str) -> str:
    """Lines of (0 to 1, milliseconds); the vertical axis is logarithmic and spans whole powers of ten."""
    heights = [ms for _, points in lines for _, ms in points if ms > 0]
    if not heights:
        return '<p class="note">no call was answered</p>'
    low = math.floor(math.log10(min(heights)))
    high = max(math.ceil(math.log10(max(heights))), low + 1)

    def place(x: float, ms: float) -> Point:
        down = (high - math.log10(ms)) / (high - low)
        return LEFT + x * (WIDTH - LEFT - RIGHT), TOP + down * (HEIGHT - TOP - BOTTOM)

    parts = []
    for power in range(low, high + 1):
        _, y = place(0, 10.0**power)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{10.0**power:g} ms", "end"))
    for x, label in ticks:
        parts.append(_text(place(x, 10.0**low)[0], HEIGHT - BOTTOM + 16, label, "middle"))
    parts.append(_text((LEFT + WIDTH) / 2, HEIGHT - 6, below, "middle"))
    for index, (name, points) in enumerate(lines):
        placed = [place(x, ms) for x, ms in points if ms > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="line l{index}" points="{path}"><title>{escape(name)}</title></polyline>')
        parts += [f'<circle class="dot l{index}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in placed]
    legend = "".join(f'<span class="key k{index}">{escape(name)}</span>' for index, (name, _) in enumerate(lines))
    return f'{_svg(HEIGHT, parts, below)}<p class="keys">{legend}</p>'


def _svg(height: float, parts: Sequence[str], about: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(about)}">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _spread(many: int, most: int) -> list[int]:
    """At most so many indices of `many`, evenly, both ends among them."""
    if many <= most:
        return list(range(many))
    return [round(index * (many - 1) / (most - 1)) for index in range(most)]


def _thinned(values: Sequence[float]) -> list[float]:
    return [values[index] for index in _spread(len(values), MOST_CURVES)]
