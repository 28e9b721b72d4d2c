"""The report of a training run: report.html in one file, report.json, and the charts as PNG.

Owns what the report tells and where each part stands. Does not know how charts are drawn (training.plots) nor how the
figures come about (training.class_figures).
"""

import base64
import dataclasses
import functools
import importlib.resources
import json
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from training import plots
from training.class_figures import Findings, findings
from training.frameworks import framework_versions, source_revision
from training.model_summary import layer_lines, parameter_counts
from training.row_choice import spread_rows
from training.task import RunRecord

if TYPE_CHECKING:
    import keras

SAMPLES = 16
MISTAKES = 25
EQUALITY = "equality.json"
"""Left in the folder by the export; a report without an export has none."""

Draw = Callable[[plots.Theme], Figure]


def write_report(run: RunRecord, model: "keras.Model", folder: Path) -> None:
    """Fill `folder` with report.html, report.json, curves.png, confusion.png, samples.png and mistakes.png.

    A task of named features has no pictures: its samples.png shows the score of every test row, and its mistakes are a
    table in report.html alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    judged = findings(run.scores, run.dataset.test.truth, run.dataset.labels, run.task.decision)
    samples = spread_rows(run.dataset.test.truth, SAMPLES)
    mistakes = judged.mistakes[:MISTAKES]
    equality = folder / EQUALITY
    told = _figures(run, model, judged, json.loads(equality.read_text("utf-8")) if equality.is_file() else None)
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")

    names = [name for name in ("loss", "accuracy") if run.history.get(name)]
    for name, draw in _files(run, judged, names, samples, mistakes).items():
        (folder / f"{name}.png").write_bytes(plots.png(draw(plots.LIGHT)))
    page = _page().render(
        told=told,
        layers=layer_lines(model),
        charts={
            name: {"light": _chart(draw, plots.LIGHT), "dark": _chart(draw, plots.DARK)}
            for name, draw in _page_charts(run, judged, names).items()
        },
        curves=names,
        pictures=_has_pictures(run),
        samples=[_row(run, judged, index) for index in samples],
        mistakes=[_row(run, judged, index) for index in mistakes],
        features=[feature["name"] for feature in run.task.preprocessing.get("features", [])],
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def _files(
    run: RunRecord, judged: Findings, curves: list[str], samples: NDArray[np.intp], mistakes: NDArray[np.intp]
) -> dict[str, Draw]:
    files: dict[str, Draw] = {
        "confusion": lambda theme: plots.confusion_chart(judged.confusion, run.dataset.labels, theme),
        "curves": lambda theme: plots.curves_chart(run.history, curves, theme),
    }
    if _has_pictures(run):
        files["samples"] = lambda theme: _sheet(run, judged, samples, 8, theme)
        files["mistakes"] = lambda theme: _sheet(run, judged, mistakes, 5, theme)
    else:
        files["samples"] = lambda theme: _strip(run, judged, theme)
    return files


def _page_charts(run: RunRecord, judged: Findings, curves: list[str]) -> dict[str, Draw]:
    # One chart a curve, so that a phone shows them below each other.
    charts: dict[str, Draw] = {name: functools.partial(plots.curve_chart, run.history, name) for name in curves}
    charts["confusion"] = lambda theme: plots.confusion_chart(judged.confusion, run.dataset.labels, theme)
    if not _has_pictures(run):
        charts["scores"] = lambda theme: _strip(run, judged, theme)
    return charts


def _figures(
    run: RunRecord, model: "keras.Model", judged: Findings, equality: Mapping[str, Any] | None
) -> dict[str, Any]:
    dataset = run.dataset
    return {
        "task": run.task.name,
        "title": run.task.title,
        "recipe": run.recipe.name,
        "recipe_summary": run.recipe.summary,
        "note": run.task.notes.get(run.recipe.name, ""),
        "command": run.command,
        "seed": run.seed,
        "epochs": run.epochs,
        "batch_rows": run.recipe.batch_rows,
        "started": run.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(run.seconds, 1),
        "frameworks": framework_versions(),
        "source_revision": source_revision(),
        "dataset": {
            "source": dataset.source,
            "rows": {name: len(getattr(dataset, name)) for name in ("train", "validation", "test")},
        },
        "class_indices": dict(dataset.class_indices),
        "decision": dict(run.task.decision),
        "correct": judged.correct,
        "total": judged.total,
        "course_figure": run.task.course_figure,
        "metrics": {name: float(value) for name, value in run.metrics.items()},
        "history": {name: [float(value) for value in values] for name, values in run.history.items()},
        "confusion": judged.confusion.tolist(),
        "classes": [dataclasses.asdict(figures) for figures in judged.classes],
        "parameters": parameter_counts(model),
        "equality": equality,
    }


def _has_pictures(run: RunRecord) -> bool:
    return bool(run.task.preprocessing["kind"] == "image")


def _sheet(run: RunRecord, judged: Findings, indices: NDArray[np.intp], columns: int, theme: plots.Theme) -> Figure:
    rows = [_row(run, judged, index) for index in indices]
    captions = [
        (
            f"{row['predicted']} {row['confidence']:.1%}" + ("" if row["right"] else f"\ntruth: {row['truth']}"),
            row["right"],
        )
        for row in rows
    ]
    return plots.picture_sheet([run.dataset.test.inputs[index] for index in indices], captions, columns, theme)


def _strip(run: RunRecord, judged: Findings, theme: plots.Theme) -> Figure:
    truth = run.dataset.test.truth
    if run.task.decision["kind"] == "sigmoid":
        scores, told = run.scores[:, 0], f"probability of {run.dataset.labels[1]}"
    else:
        scores, told = run.scores[np.arange(len(truth)), truth], "probability of the true class"
    right = judged.predicted == truth
    return plots.score_strip(scores.astype(np.float64), truth, right, run.dataset.labels, told, theme)


def _row(run: RunRecord, judged: Findings, index: int) -> dict[str, Any]:
    labels, test = run.dataset.labels, run.dataset.test
    predicted, truth = labels[judged.predicted[index]], labels[test.truth[index]]
    return {
        "number": int(index),
        "predicted": predicted,
        "truth": truth,
        "right": predicted == truth,
        "confidence": float(judged.confidence[index]),
        "picture": _picture(test.inputs[index]) if _has_pictures(run) else "",
        "values": [] if _has_pictures(run) else [f"{value:g}" for value in test.inputs[index].tolist()],
    }


def _picture(pixels: NDArray[np.uint8]) -> str:
    buffer = BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(buffer, format="PNG", optimize=True)
    return _data_uri(buffer.getvalue())


def _chart(draw: Draw, theme: plots.Theme) -> str:
    return _data_uri(plots.png(draw(theme)))


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _page() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda share: "-" if share is None else f"{100 * share:.2f} %"
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["duration"] = _duration
    text = (importlib.resources.files("training") / "report.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
