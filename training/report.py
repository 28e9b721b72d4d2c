"""The report of a training run: report.html in one file, report.json, and the charts as PNG.

Owns the order in which a report is made, and its files. Does not know which figures it tells (training.report_figures),
which charts there are (training.report_charts), nor how the page is filled (training.report_page).
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training import plots
from training.model_summary import layer_lines
from training.net_drawing import net_svg
from training.report_charts import SHEET_COLUMNS, chart_files, mosaic, page_charts, picture, told_row
from training.report_figures import figures, material
from training.report_page import data_uri, page_template
from training.results import FOLDER as RESULTS
from training.task import RunRecord

if TYPE_CHECKING:
    import keras

SHEET_SCALE = 3


def write_report(run: RunRecord, model: "keras.Model", folder: Path, results: Path = RESULTS) -> None:
    """Fill `folder` with report.html, report.json, curves.png, confusion.png, samples.png, mistakes.png, augmented.png.

    A task of named features has no pictures: its samples.png shows the score of every test row, and its mistakes are a
    table in report.html alone. augmented.png is there if the recipe augments. `results`: the folder with the results of
    sweeps, from which the spread over seeds is taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = material(run, results)
    told = figures(made, model, folder)
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")

    for name, draw in chart_files(made).items():
        (folder / f"{name}.png").write_bytes(plots.png(draw(plots.LIGHT)))
    if len(made.augmented):
        (folder / "augmented.png").write_bytes(picture(mosaic(made.augmented), SHEET_SCALE))
    page = page_template("report.html").render(
        told=told,
        layers=layer_lines(model),
        drawing=net_svg(model),
        charts={
            name: {"light": data_uri(plots.png(draw(plots.LIGHT))), "dark": data_uri(plots.png(draw(plots.DARK)))}
            for name, draw in page_charts(made).items()
        },
        curves=made.curves,
        pictures=made.has_pictures,
        samples=[told_row(made, index) for index in made.samples],
        mistakes=[told_row(made, index) for index in made.mistakes],
        augmented=[picture(mosaic(half)) for half in _halves(made.augmented)],
        augmented_count=len(made.augmented),
        features=[feature["name"] for feature in run.task.preprocessing.get("features", [])],
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def _halves(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    # Whole lines each, so that they stand beside each other or, on a phone, below.
    middle = SHEET_COLUMNS * -(-len(images) // (2 * SHEET_COLUMNS))
    return [half for half in (images[:middle], images[middle:]) if len(half)]
