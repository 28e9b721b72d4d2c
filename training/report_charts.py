"""Which charts and pictures a report has, each to be drawn in the colours of a page.

Owns what is drawn of a run. Does not know sizes or colours (training.plots), nor HTML.
"""

import functools
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from training import plots, score_plots
from training.report_figures import Material

SHEET_COLUMNS = 10
SHEET_GAP_PIXELS = 2

Draw = Callable[[plots.Theme], Figure]


def chart_files(material: Material) -> dict[str, Draw]:
    """The charts that lie beside the page as PNG, by the file's stem."""
    run, judged = material.run, material.judged
    files: dict[str, Draw] = {
        "confusion": functools.partial(plots.confusion_chart, judged.confusion, run.dataset.labels),
        "curves": functools.partial(plots.curves_chart, run.history, material.curves),
    }
    if material.has_pictures:
        files["samples"] = functools.partial(_sheet, material, material.samples, 8)
        files["mistakes"] = functools.partial(_sheet, material, material.mistakes, 5)
    else:
        files["samples"] = functools.partial(_strip, material)
    return files


def page_charts(material: Material) -> dict[str, Draw]:
    """The charts of the page by name: one a curve, so that a phone shows them below each other."""
    run, judged = material.run, material.judged
    charts: dict[str, Draw] = {
        name: functools.partial(plots.curve_chart, run.history, name) for name in material.curves
    }
    charts["confusion"] = functools.partial(plots.confusion_chart, judged.confusion, run.dataset.labels)
    charts["calibration"] = functools.partial(score_plots.reliability_chart, material.calibration)
    if not material.has_pictures:
        charts["scores"] = functools.partial(_strip, material)
    if material.roc:
        threshold = run.task.decision["threshold"]
        at = next(figures for figures in material.thresholds if figures.threshold == threshold)
        point = (1 - (at.specificity or 0.0), at.sensitivity or 0.0)
        charts["roc"] = functools.partial(score_plots.roc_chart, material.roc, point, f"threshold {threshold:g}")
    if material.seeds:
        ours = judged.correct / judged.total
        charts["seeds"] = functools.partial(score_plots.seeds_chart, material.seeds.accuracies, ours)
    return charts


def told_row(material: Material, index: int) -> dict[str, Any]:
    """What the page tells of one test row: prediction, confidence, truth, and its picture or its values."""
    run, judged = material.run, material.judged
    labels, test = run.dataset.labels, run.dataset.test
    predicted, truth = labels[judged.predicted[index]], labels[test.truth[index]]
    return {
        "number": int(index),
        "predicted": predicted,
        "truth": truth,
        "right": predicted == truth,
        "confidence": float(judged.confidence[index]),
        "picture": picture(test.inputs[index]) if material.has_pictures else b"",
        "values": [] if material.has_pictures else [f"{value:g}" for value in test.inputs[index].tolist()],
    }


def picture(pixels: NDArray[np.uint8], scale: int = 1) -> bytes:
    """`pixels` [height, width, 1, 3 or 4] as a PNG file, each pixel `scale` wide and high."""
    image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def mosaic(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images [count, height, width, 1 or 3] in lines of ten, as one [.., .., 4] whose gaps are transparent."""
    count, height, width, channels = images.shape
    lines = -(-count // SHEET_COLUMNS)
    down, right = height + SHEET_GAP_PIXELS, width + SHEET_GAP_PIXELS
    sheet = np.zeros((lines * down, SHEET_COLUMNS * right, 4), dtype=np.uint8)
    for place in range(count):
        line, column = divmod(place, SHEET_COLUMNS)
        cell = sheet[line * down : line * down + height, column * right : column * right + width]
        cell[..., :3] = images[place] if channels == 3 else images[place].repeat(3, axis=-1)
        cell[..., 3] = 255
    return sheet[:-SHEET_GAP_PIXELS, :-SHEET_GAP_PIXELS]


def _sheet(material: Material, indices: NDArray[np.intp], columns: int, theme: plots.Theme) -> Figure:
    rows = [told_row(material, index) for index in indices]
    captions = [
        (
            f"{row['predicted']} {row['confidence']:.1%}" + ("" if row["right"] else f"\ntruth: {row['truth']}"),
            row["right"],
        )
        for row in rows
    ]
    return plots.picture_sheet([material.run.dataset.test.inputs[index] for index in indices], captions, columns, theme)


def _strip(material: Material, theme: plots.Theme) -> Figure:
    run, truth = material.run, material.run.dataset.test.truth
    if run.task.decision["kind"] == "sigmoid":
        scores, told = run.scores[:, 0], f"probability of {run.dataset.labels[1]}"
    else:
        scores, told = run.scores[np.arange(len(truth)), truth], "probability of the true class"
    right = material.judged.predicted == truth
    return score_plots.score_strip(scores.astype(np.float64), truth, right, run.dataset.labels, told, theme)
