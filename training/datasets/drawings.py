"""Drawings of circles, rectangles and triangles, as many hands would draw them.

Owns the generator: closed strokes with the faults of a hand (wobble, skew, bowed edges, ends that miss or overshoot),
drawn with a pen on white. Does not know the real drawings, which no default recipe trains on.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.task import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE_PIXELS = 24
SUPERSAMPLING = 4
STROKE_POINTS = 40
CLASS_INDICES = {"circle": 0, "rectangle": 1, "triangle": 2}

Range = tuple[float, float]
Points = NDArray[np.float64]
"""Points of a closed stroke, [points, 2] x and y; before it is placed, about the unit circle."""


@dataclass(frozen=True)
class Hand:
    """How a group of people draws: each drawing takes values from these ranges.

    Lengths in pixels of the finished drawing, `turn` in radians, `wobble` and `bow` in parts of the radius, `overshoot`
    in parts of the stroke, `ink` from 0, white, to 1, black.
    """

    radius: Range = (3.5, 11.5)
    pen: Range = (0.8, 3.0)
    turn: Range = (-np.pi, np.pi)
    wobble: Range = (0.0, 0.065)
    squash: Range = (0.62, 1.0)
    bow: Range = (-0.14, 0.14)
    corner_jitter: Range = (0.0, 0.14)
    overshoot: Range = (-0.04, 0.08)
    ink: Range = (0.6, 1.0)


MANY_HANDS = Hand()
OTHER_HANDS = Hand(
    radius=(5.0, 11.0),
    pen=(1.2, 3.2),
    wobble=(0.02, 0.07),
    squash=(0.7, 1.0),
    bow=(-0.15, 0.15),
    corner_jitter=(0.0, 0.12),
    overshoot=(-0.05, 0.09),
    ink=(0.65, 1.0),
)
"""Held out to test on: pen, wobble, bow and overshoot reach beyond those that training draws."""


def draw(count: int, hand: Hand, seed: int) -> Rows:
    """Draw `count` shapes, the classes in turn: inputs [count, 24, 24, 3] uint8, black strokes on white."""
    generator = np.random.default_rng(seed)
    shapes: list[Callable[[Hand, np.random.Generator], Points]] = [_circle, _rectangle, _triangle]
    truth = np.arange(count, dtype=np.int64) % len(shapes)
    inputs = np.empty((count, SIZE_PIXELS, SIZE_PIXELS, 3), np.uint8)
    for index, shape in enumerate(truth):
        stroke = _overshot(_wobbled(shapes[shape](hand, generator), hand, generator), hand, generator)
        inputs[index] = _inked(_placed(stroke, hand, generator), hand, generator)[..., None]
    return Rows(inputs, truth)


def _circle(hand: Hand, generator: np.random.Generator) -> Points:
    angle = np.linspace(0, 2 * np.pi, STROKE_POINTS, endpoint=False)
    radius = np.ones_like(angle)
    for harmonic in (2, 3):
        radius += generator.uniform(0, 0.07) * np.cos(harmonic * angle + generator.uniform(0, 2 * np.pi))
    return np.stack(
        [radius * np.cos(angle), radius * np.sin(angle) * max(0.75, generator.uniform(*hand.squash))], axis=1
    )


def _rectangle(hand: Hand, generator: np.random.Generator) -> Points:
    height = generator.uniform(*hand.squash)
    corners = np.array([(-1, -height), (1, -height), (1, height), (-1, height)]) / np.hypot(1, height)
    corners[:, 0] += generator.uniform(-0.15, 0.15) * corners[:, 1]
    return _bowed_edges(corners, hand, generator)


def _triangle(hand: Hand, generator: np.random.Generator) -> Points:
    """Corners on the circle such that no angle of the triangle is under 29 or over 105 degrees."""
    while True:
        angles = generator.dirichlet((6, 6, 6)) * np.pi
        if angles.min() > 0.5 and angles.max() < 1.83:
            break
    around = np.cumsum(2 * angles)
    return _bowed_edges(np.stack([np.cos(around), np.sin(around)], axis=1), hand, generator)


def _bowed_edges(corners: Points, hand: Hand, generator: np.random.Generator) -> Points:
    """A stroke through the jittered corners, each edge bent to a side."""
    jitter = generator.uniform(*hand.corner_jitter)
    corners = corners + generator.normal(0, 0.5, corners.shape) * jitter
    along = np.linspace(0, 1, STROKE_POINTS // len(corners), endpoint=False)[:, None]
    edges = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        normal = np.array([start[1] - end[1], end[0] - start[0]])
        edges.append(start + (end - start) * along + normal * generator.uniform(*hand.bow) * along * (1 - along) * 2)
    return np.concatenate(edges)


def _wobbled(stroke: Points, hand: Hand, generator: np.random.Generator) -> Points:
    """Small smooth deviations, as of a hand that is not quite steady."""
    noise = generator.normal(0, 1, stroke.shape)
    smooth = (noise + np.roll(noise, 1, axis=0) + np.roll(noise, 2, axis=0)) / np.sqrt(3)
    wobbled: Points = stroke + smooth * generator.uniform(*hand.wobble)
    return wobbled


def _overshot(stroke: Points, hand: Hand, generator: np.random.Generator) -> Points:
    """The closed stroke begun anywhere, whose end passes its beginning or stops short of it."""
    start = generator.integers(len(stroke))
    closed = np.concatenate([np.roll(stroke, -start, axis=0)] * 2)
    return closed[: len(stroke) + 1 + round(generator.uniform(*hand.overshoot) * len(stroke))]


def _placed(stroke: Points, hand: Hand, generator: np.random.Generator) -> Points:
    """The stroke turned, at its size, somewhere on the page; pixels."""
    turn = generator.uniform(*hand.turn)
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    turned: Points = stroke @ rotation.T * generator.uniform(*hand.radius)
    low, high = turned.min(axis=0), turned.max(axis=0)
    room = np.maximum(SIZE_PIXELS - 2 - (high - low), 0)
    placed: Points = turned - low + 1 + generator.uniform(0, 1, 2) * room
    return placed


def _inked(stroke: Points, hand: Hand, generator: np.random.Generator) -> NDArray[np.uint8]:
    """The drawing [24, 24]: drawn large, then reduced, so that the pen's edge is soft."""
    size = SIZE_PIXELS * SUPERSAMPLING
    page = Image.new("L", (size, size), 0)
    points = [(float(x) * SUPERSAMPLING, float(y) * SUPERSAMPLING) for x, y in stroke]
    width = max(1, round(generator.uniform(*hand.pen) * SUPERSAMPLING))
    ImageDraw.Draw(page).line(points, fill=255, width=width, joint="curve")
    filters = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)
    reduced = page.resize((SIZE_PIXELS, SIZE_PIXELS), filters[generator.integers(len(filters))])
    ink = np.asarray(reduced, np.float64) / 255 * generator.uniform(*hand.ink)
    return np.round(255 * (1 - ink)).astype(np.uint8)
