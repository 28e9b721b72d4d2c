"""The report's charts of scores: calibration, the ROC curve, the scores of all rows, the spread over seeds.

Owns their layout. Does not know where the numbers came from.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from training.plots import Theme, blank_figure, dress
from training.score_figures import Calibration, Roc


def reliability_chart(calibration: Calibration, theme: Theme) -> Figure:
    """Accuracy by confidence as bars beside the diagonal of a calibrated model; below, how many rows each bin has."""
    figure = blank_figure(4.6, 4.4, theme)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    width = 1 / calibration.bins
    held = [place for place in range(calibration.bins) if calibration.rows[place]]
    middles = [(place + 0.5) * width for place in held]
    accuracy = [calibration.accuracy[place] or 0.0 for place in held]
    confidence = [calibration.confidence[place] or 0.0 for place in held]
    upper.bar(middles, accuracy, width * 0.86, color=theme.right, alpha=0.85, label="accuracy")
    gaps = np.subtract(confidence, accuracy)
    hatched = {"fill": False, "edgecolor": theme.wrong, "hatch": "/////", "linewidth": 0.8}
    upper.bar(middles, gaps, width * 0.86, accuracy, label="gap to confidence", **hatched)
    upper.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=(0, (4, 3)))
    upper.set_ylim(0, 1.02)
    upper.set_ylabel("accuracy")
    upper.legend(frameon=False, fontsize=9, labelcolor=theme.muted, loc="upper left")
    lower.bar(middles, [calibration.rows[place] for place in held], width * 0.86, color=theme.muted, alpha=0.6)
    lower.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3, prune="lower"))
    lower.set_xlim(0, 1)
    lower.set_ylabel("rows")
    lower.set_xlabel("confidence of the predicted class")
    for axes in (upper, lower):
        dress(axes, theme)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def roc_chart(roc: Roc, threshold_point: tuple[float, float], told: str, theme: Theme) -> Figure:
    """The curve with its area, and the point (false, true positive rate) of the decision's threshold, named `told`."""
    figure = blank_figure(4.6, 4.4, theme)
    axes = figure.add_subplot()
    across = [point.false_positive_rate for point in roc.points]
    up = [point.true_positive_rate for point in roc.points]
    axes.fill_between(across, up, color=theme.train, alpha=0.10, linewidth=0)
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(across, up, color=theme.train, linewidth=1.8, label=f"area {roc.auc:.3f}", clip_on=False)
    axes.plot(*threshold_point, "o", color=theme.validation, markersize=7, label=told, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel("false positive rate (1 \N{MINUS SIGN} specificity)")
    axes.set_ylabel("true positive rate (sensitivity)")
    axes.legend(frameon=False, fontsize=9, labelcolor=theme.muted, loc="lower right")
    dress(axes, theme)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def seeds_chart(accuracies: Sequence[float], ours: float, theme: Theme) -> Figure:
    """A dot a seed, their median as a line, and this run's accuracy marked."""
    figure = blank_figure(4.6, 1.5, theme)
    axes = figure.add_subplot()
    lift = np.random.default_rng(0).uniform(-0.25, 0.25, len(accuracies))
    axes.axvline(float(np.median(accuracies)), color=theme.muted, linewidth=1, linestyle=(0, (4, 3)), label="median")
    axes.scatter(accuracies, lift, s=34, color=theme.train, alpha=0.6, linewidths=0, label="one seed each")
    axes.scatter([ours], [0], s=90, marker="D", color=theme.validation, edgecolors=theme.surface, label="this run")
    axes.set_ylim(-0.6, 0.6)
    axes.set_yticks([])
    axes.margins(x=0.08)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set_xlabel("accuracy on the test split")
    _legend_above(axes, theme, columns=3)
    dress(axes, theme)
    return figure


def score_strip(
    scores: NDArray[np.float64],
    truth: NDArray[np.int64],
    right: NDArray[np.bool_],
    labels: Sequence[str],
    x_label: str,
    theme: Theme,
) -> Figure:
    """A dot a test row: `scores` across, the true class down, those predicted wrong in their own colour."""
    figure = blank_figure(4.6, 0.8 + 0.7 * len(labels), theme)
    axes = figure.add_subplot()
    spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(scores))
    for group, title, colour in ((right, "right", theme.right), (~right, "wrong", theme.wrong)):
        axes.scatter(scores[group], (truth + spread)[group], s=18, color=colour, alpha=0.75, linewidths=0, label=title)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel(x_label)
    axes.set_ylabel("truth")
    _legend_above(axes, theme, columns=2)
    dress(axes, theme)
    return figure


def _legend_above(axes: Axes, theme: Theme, columns: int) -> None:
    """The legend in `columns` columns above the right end of the axes, where it hides nothing."""
    axes.legend(
        frameon=False,
        fontsize=9,
        labelcolor=theme.muted,
        ncols=columns,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderpad=0,
    )
