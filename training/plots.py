"""The report's charts, each drawn for a light and for a dark page.

Owns colours, sizes and layout of the charts. Does not know files, HTML or where the numbers came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.task import History

DPI = 200
"""Twice the 100 dots an inch that the sizes below are laid out for."""


@dataclass(frozen=True)
class Theme:
    """The colours of one page."""

    surface: str
    ink: str
    muted: str
    grid: str
    train: str
    validation: str
    right: str
    wrong: str


LIGHT = Theme("#ffffff", "#1d2530", "#66707e", "#e7eaee", "#2f6fde", "#e0762f", "#2f6fde", "#d2553d")
DARK = Theme("#161b23", "#e6eaf0", "#97a1af", "#2a323e", "#6aa0ff", "#f0a060", "#4f8bf5", "#e8735a")


def curve_chart(history: History, figure_name: str, theme: Theme) -> Figure:
    """One figure over the epochs, training and validation."""
    figure = blank_figure(4.6, 2.7, theme)
    _draw_curve(figure.add_subplot(), history, figure_name, theme)
    return figure


def curves_chart(history: History, figure_names: Sequence[str], theme: Theme) -> Figure:
    """All `figure_names` side by side."""
    figure = blank_figure(4.8 * max(1, len(figure_names)), 3.0, theme)
    for place, name in enumerate(figure_names, start=1):
        axes = figure.add_subplot(1, len(figure_names), place)
        _draw_curve(axes, history, name, theme)
        axes.set_title(name.capitalize(), loc="left", fontsize=11, fontweight="bold", color=theme.ink)
    return figure


def confusion_chart(confusion: NDArray[np.int64], labels: Sequence[str], theme: Theme) -> Figure:
    """Truth down, prediction across; hits and mistakes each have their colour, stronger where they are more."""
    count = len(labels)
    side = min(6.4, 2.1 + 0.42 * count)
    figure = blank_figure(side + 0.3, side, theme)
    axes = figure.add_subplot()
    hits = np.eye(count, dtype=bool)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    # The root lets a mistake of one per cent still be seen beside hits of ninety.
    strength = np.where(hits, 0.12 + 0.78 * shares, np.where(confusion > 0, 0.06 + 0.75 * np.sqrt(shares), 0.0))
    hue = np.where(hits[..., None], to_rgb(theme.right), to_rgb(theme.wrong))
    axes.imshow(hue * strength[..., None] + np.array(to_rgb(theme.surface)) * (1 - strength[..., None]))
    size = 11 if count <= 4 else 8.5
    for row in range(count):
        for column in range(count):
            colour = "#ffffff" if strength[row, column] > 0.55 else theme.ink if confusion[row, column] else theme.muted
            axes.text(column, row, f"{confusion[row, column]:,}", ha="center", va="center", color=colour, fontsize=size)
    long = max(len(label) for label in labels) * count > 40
    axes.set_xticks(range(count), labels, rotation=40 if long else 0, ha="right" if long else "center")
    axes.set_yticks(range(count), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_xticks(np.arange(0.5, count - 1), minor=True)
    axes.set_yticks(np.arange(0.5, count - 1), minor=True)
    dress(axes, theme)
    axes.grid(visible=False)
    axes.grid(visible=True, which="minor", color=theme.surface, linewidth=2)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def picture_sheet(
    pictures: Sequence[NDArray[np.uint8]], captions: Sequence[tuple[str, bool]], columns: int, theme: Theme
) -> Figure:
    """Pictures [height, width, 1 or 3] in a grid; a caption is its text and whether the prediction was right."""
    lines = max(1, -(-len(pictures) // columns))
    figure = blank_figure(1.35 * columns, 1.75 * lines, theme)
    for place, (picture, (caption, right)) in enumerate(zip(pictures, captions, strict=True), start=1):
        axes = figure.add_subplot(lines, columns, place)
        axes.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
        axes.set_title(caption, fontsize=7, color=theme.muted if right else theme.wrong, pad=4)
    if not pictures:
        figure.text(0.5, 0.5, "none", ha="center", va="center", color=theme.muted, fontsize=11)
    return figure


def png(figure: Figure) -> bytes:
    """The chart as a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=figure.get_facecolor())
    return buffer.getvalue()


def dress(axes: Axes, theme: Theme) -> None:
    """Give `axes` the colours of `theme`, after everything is drawn on them."""
    axes.set_facecolor(theme.surface)
    axes.tick_params(colors=theme.muted, labelsize=9, length=0)
    axes.grid(visible=True, color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(theme.muted)
        label.set_fontsize(9)
    for spine in axes.spines.values():
        spine.set_color(theme.grid)


def blank_figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure, its width and height in hundreds of layout pixels."""
    return Figure(figsize=(width, height), facecolor=theme.surface, layout="constrained")


def _draw_curve(axes: Axes, history: History, name: str, theme: Theme) -> None:
    for key, title, colour in ((name, "training", theme.train), (f"val_{name}", "validation", theme.validation)):
        values = history.get(key)
        if values:
            marker = "o" if len(values) == 1 else None
            axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.8, label=title, marker=marker)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    axes.legend(frameon=False, fontsize=9, labelcolor=theme.muted)
    dress(axes, theme)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
