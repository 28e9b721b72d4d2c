"""A drawing of a net as SVG: a box a layer, lines where values flow, lanes at the side for what skips layers.

Owns layout and words of the drawing. Does not know colours: its classes take them from the page.
"""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from training.model_summary import LayerLine, layer_line

if TYPE_CHECKING:
    import keras

WIDTH = 360
BOX_HEIGHT = 42
BARE_HEIGHT = 27
FOLLOWER_HEIGHT = 15
GAP = 22
BESIDE = 8
LANE = 16
FOLLOWERS = frozenset({"BatchNormalization", "ReLU", "LeakyReLU", "Activation", "Softmax", "Dropout"})
"""Told in the box of the layer before, if that is their only input and goes nowhere else."""
WEIGHTY = frozenset({"Add", "Concatenate", "Multiply", "Average"})


@dataclass
class _Box:
    """A layer with its followers; `sources` are places of boxes, `rank` the line that it stands on."""

    lines: list[LayerLine]
    sources: list[int]
    rank: int = 0
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0

    @property
    def height(self) -> int:
        bare = not self.lines[0].detail and not self.parameters and not self.narrow
        return (BARE_HEIGHT if bare else BOX_HEIGHT) + FOLLOWER_HEIGHT * bool(self.lines[1:])

    @property
    def narrow(self) -> bool:
        return self.width < WIDTH / 2

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def parameters(self) -> int:
        return sum(line.parameters for line in self.lines)


Lanes = dict[tuple[int, int], int]
"""Which lane of the side a skipping line takes: (source, target) to its number from 0 on."""


def net_svg(model: "keras.Model") -> str:
    """Draw `model` from its input at the top to its output; a model inside it is one box."""
    boxes = _boxes(model)
    lanes = _lanes(boxes)
    height = _place(boxes, WIDTH - LANE * (1 + max(lanes.values(), default=-1)))
    parts = [_line(boxes, source, place, lanes) for place, box in enumerate(boxes) for source in box.sources]
    parts += [_drawn(box) for box in boxes]
    return (
        f'<svg class="net" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="the net, layer by layer">'
        f"{''.join(parts)}</svg>"
    )


def _boxes(model: "keras.Model") -> list[_Box]:
    boxes: list[_Box] = []
    makers: dict[int, int] = {}
    takers = _takers(model)
    for layer in model.layers:
        # A layer that is called twice has no one input: it is drawn behind the layer before it.
        inputs = _tensors(layer, "input") or []
        sources = sorted({makers[id(tensor)] for tensor in inputs if id(tensor) in makers})
        if not sources and boxes and type(layer).__name__ != "InputLayer":
            sources = [len(boxes) - 1]
        line = layer_line(layer)
        follows = line.kind in FOLLOWERS and len(inputs) == 1 and takers.get(id(inputs[0])) == 1 and len(sources) == 1
        if follows and boxes[sources[0]].lines[-1].kind != "InputLayer":
            place = sources[0]
            boxes[place].lines.append(line)
        else:
            place = len(boxes)
            rank = 1 + max((boxes[source].rank for source in sources), default=-1)
            boxes.append(_Box([line], sources, rank))
        makers.update({id(tensor): place for tensor in _tensors(layer, "output") or []})
    return boxes


def _takers(model: "keras.Model") -> dict[int, int]:
    counts: dict[int, int] = {}
    for layer in model.layers:
        if type(layer).__name__ != "InputLayer":
            for tensor in _tensors(layer, "input") or []:
                counts[id(tensor)] = counts.get(id(tensor), 0) + 1
    return counts


def _tensors(layer: Any, side: str) -> list[Any] | None:  # noqa: ANN401 - Keras is published without types
    try:
        tensors = getattr(layer, side)
    except (AttributeError, ValueError):
        return None
    return list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]


def _lanes(boxes: list[_Box]) -> Lanes:
    """Give each line that passes a rank the first lane that no other takes on the way."""
    taken: list[list[tuple[int, int]]] = []
    lanes: Lanes = {}
    for target, box in enumerate(boxes):
        for source in box.sources:
            start, stop = boxes[source].rank, box.rank
            if stop - start < 2:
                continue
            free = (
                number
                for number, spans in enumerate(taken)
                if all(stop <= begun or start >= ended for begun, ended in spans)
            )
            number = next(free, len(taken))
            if number == len(taken):
                taken.append([])
            taken[number].append((start, stop))
            lanes[source, target] = number
    return lanes


def _place(boxes: list[_Box], width: float) -> float:
    """Set place and width of the boxes, those of a rank beside each other; give the drawing's height."""
    y = 1.0
    for rank in range(1 + max((box.rank for box in boxes), default=0)):
        line = [box for box in boxes if box.rank == rank]
        each = (width - 2 - BESIDE * (len(line) - 1)) / max(1, len(line))
        for place, box in enumerate(line):
            box.x, box.y, box.width = 1 + place * (each + BESIDE), y, each
        y += max((box.height for box in line), default=0) + GAP
    return y - GAP + 1


def _line(boxes: list[_Box], source: int, target: int, lanes: Lanes) -> str:
    start, stop = boxes[source], boxes[target]
    lane = lanes.get((source, target))
    if lane is None:
        top, bottom = start.y + start.height, stop.y
        half = (top + bottom) / 2
        path = (
            f"M{start.middle:g} {top:g}C{start.middle:g} {half:g} {stop.middle:g} {half:g} {stop.middle:g} {bottom:g}"
        )
        return f'<path class="flow" d="{path}"/>'
    right = max(box.x + box.width for box in boxes) + LANE * (lane + 1) - 1
    # Out below the middle and in above it, so that a box which both ends and begins a skip shows two lines.
    top, bottom = start.y + start.height * 0.7, stop.y + stop.height * 0.3
    path = (
        f"M{start.x + start.width:g} {top:g}H{right - 6:g}Q{right:g} {top:g} {right:g} {top + 6:g}V{bottom - 6:g}"
        f"Q{right:g} {bottom:g} {right - 6:g} {bottom:g}H{stop.x + stop.width:g}"
    )
    return f'<path class="flow skip" d="{path}"/>'


def _drawn(box: _Box) -> str:
    first, *followers = box.lines
    group = "box learned" if box.parameters else "box joint" if first.kind in WEIGHTY else "box"
    numbers = f"{box.parameters:,} parameters" if box.parameters else ""
    told = ", ".join(filter(None, [first.kind, first.detail, f"output {box.lines[-1].shape}", numbers]))
    x, y, right = box.x + 11, box.y, box.x + box.width - 11
    parts = [
        f'<rect x="{box.x:g}" y="{y:g}" width="{box.width:g}" height="{box.height}" rx="8"/>',
        _text(x, y + 17, first.kind, "kind", box.width - 22 if box.narrow else box.width * 0.55),
        _text(right, y + (33 if box.narrow else 17), box.lines[-1].shape, "shape", box.width * 0.4, end=True),
    ]
    if not box.narrow or not box.parameters:
        parts.append(_text(x, y + 33, first.detail, "detail", box.width * (0.55 if box.narrow else 0.7)))
    if box.parameters:
        short = f"{box.parameters:,}"
        parts.append(
            _text(x, y + 33, short, "count", box.width * 0.5)
            if box.narrow
            else _text(right, y + 33, short, "count", box.width * 0.3, end=True)
        )
    if followers:
        words = " ".join(f"+ {line.kind}" + f" {line.detail}" * bool(line.detail) for line in followers)
        parts.append(_text(x, y + box.height - 9, words, "detail", box.width - 22))
    return f'<g class="{group}"><title>{escape(told)}</title>{"".join(parts)}</g>'


def _text(x: float, y: float, words: str, group: str, room: float, *, end: bool = False) -> str:
    """One line of text, made smaller, then cut, if it is wider than `room`."""
    if not words:
        return ""
    size = 12.5 if group == "kind" else 11.0
    size = max(9.0, min(size, room / (0.57 * len(words))))
    most = int(room / (0.55 * size))
    shown = words if len(words) <= most else words[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    anchor = ' text-anchor="end"' if end else ""
    return f'<text class="{group}" x="{x:g}" y="{y:g}" font-size="{size:.3g}"{anchor}>{escape(shown)}</text>'
