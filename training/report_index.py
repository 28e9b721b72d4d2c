"""`signet-train report MODELS_DIR`: one page over all packages of a repository, with a link to each report.

Owns what the page tells of a package, and what it says of one that cannot be read. Does not know how a report is made.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from training.report_page import page_template
from training.staging import versions
from training.task import TrainingError

SPARK_WIDTH, SPARK_HEIGHT = 320, 72
MOST_POINTS = 160
"""More are not seen at that width, and 1,500 epochs would be most of the page."""


@dataclass(frozen=True)
class VersionLine:
    """One version of a model. `trouble` says what is wrong with it, and then the rest is empty.

    `link` leads from the page to its report.html and is empty without one.
    """

    version: int
    trouble: str = ""
    title: str = ""
    recipe: str = ""
    created: str = ""
    accuracy: float | None = None
    counted: str = ""
    course_figure: str = ""
    link: str = ""
    train_line: str = ""
    validation_line: str = ""


@dataclass(frozen=True)
class ModelCard:
    """One model: its versions, the newest first, and the newest of them that can be read, if one can."""

    name: str
    versions: list[VersionLine]
    shown: VersionLine | None


def main(arguments: Sequence[str]) -> int:
    """Write the page by the words after `signet-train report`; give the exit code, 1 with a sentence on stderr."""
    parser = argparse.ArgumentParser(
        prog="signet-train report", description="Write one page over all model packages, with their reports linked."
    )
    parser.add_argument("models", type=Path, metavar="MODELS_DIR", help="the repository")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: MODELS_DIR/index.html)")
    flags = parser.parse_args(arguments)
    try:
        page = write_index(flags.models, flags.out or flags.models / "index.html")
    except TrainingError as error:
        sys.stderr.write(f"signet-train: {error}\n")
        return 1
    sys.stdout.write(f"index: {page}\n")
    return 0


def write_index(repository: Path, out: Path) -> Path:
    """Write the page over the packages in `repository` to `out`, and give it.

    Raises TrainingError if there is no folder of that name, no package in it, or the page cannot be written.
    """
    if not repository.is_dir():
        raise TrainingError(f"report: {repository} is no folder; a repository of MODEL/VERSION/ was expected")
    cards = model_cards(repository, out.parent)
    if not cards:
        raise TrainingError(
            f"report: {repository} holds no model package; MODEL/VERSION/ with a manifest.json was expected"
        )
    page = page_template("report_index.html").render(
        cards=cards,
        packages=sum(len(card.versions) for card in cards),
        spark={"width": SPARK_WIDTH, "height": SPARK_HEIGHT},
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"report: {out} cannot be written: {error.strerror}") from error
    return out


def model_cards(repository: Path, page_folder: Path) -> list[ModelCard]:
    """The models of `repository` by name, those without a readable version last; links start from `page_folder`."""
    cards = []
    for folder in sorted(path for path in repository.iterdir() if path.is_dir() and not path.name.startswith(".")):
        lines = [_version(folder / str(number), page_folder) for number in reversed(versions(folder))]
        if lines:
            cards.append(ModelCard(folder.name, lines, next((line for line in lines if not line.trouble), None)))
    return sorted(cards, key=lambda card: card.shown is None)


def _version(folder: Path, page_folder: Path) -> VersionLine:
    number = int(folder.name)
    try:
        manifest = _object(folder / "manifest.json")
        report = folder / "report" / "report.json"
        # A package made from a model that was trained elsewhere has none.
        told = _object(report) if report.exists() else {}
        return _told(number, manifest, told, _link(folder / "report" / "report.html", page_folder))
    except TrainingError as error:
        return VersionLine(number, trouble=str(error))
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        return VersionLine(number, trouble=f"manifest.json or report.json has not the expected fields: {error!r}")


def _told(number: int, manifest: dict[str, Any], told: dict[str, Any], link: str) -> VersionLine:
    history = told.get("history", {})
    train, validation = history.get("accuracy", []), history.get("val_accuracy", [])
    known = [float(value) for value in [*train, *validation]]
    accuracy = told["correct"] / told["total"] if told else manifest.get("metrics", {}).get("accuracy")
    return VersionLine(
        version=number,
        title=str(told.get("title", manifest["model"])),
        recipe=str(manifest.get("recipe", "")),
        created=str(manifest["created"]),
        accuracy=None if accuracy is None else float(accuracy),
        counted=f"{told['correct']:,} of {told['total']:,}" if told else "",
        course_figure=str(told.get("course_figure", "")),
        link=link,
        train_line=_spark(train, known),
        validation_line=_spark(validation, known),
    )


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; its name alone stands in errors, the page tells the rest."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TrainingError(f"{path.name} is missing") from error
    except OSError as error:
        raise TrainingError(f"{path.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TrainingError(f"{path.name} is no JSON") from error
    if not isinstance(content, dict):
        raise TrainingError(f"{path.name} holds {type(content).__name__}, an object was expected")
    return content


def _link(page: Path, page_folder: Path) -> str:
    return quote(Path(os.path.relpath(page, page_folder)).as_posix()) if page.is_file() else ""


def _spark(values: Sequence[float], known: Sequence[float]) -> str:
    """The points of a line through `values`, lowest and highest of `known` at the edges; empty for fewer than two."""
    if len(values) < 2:
        return ""
    low, high = min(known), max(known)
    step = max(1, -(-len(values) // MOST_POINTS))
    places = [*range(0, len(values) - 1, step), len(values) - 1]
    room = SPARK_HEIGHT - 6
    return " ".join(
        f"{place * SPARK_WIDTH / (len(values) - 1):.1f},{3 + room * (high - values[place]) / ((high - low) or 1):.1f}"
        for place in places
    )
