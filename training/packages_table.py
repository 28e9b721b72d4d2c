"""The table of packages in README.md: what `make records-check` measured of each, beside how it was trained.

Owns its look. Does not know how anything was measured. `python -m training.packages_table` prints it.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.results import FOLDER, duration, read_result
from training.task import TrainingError

HEADER = (
    "| recipe | numbers | parameters | training | accuracy, as served | flip-averaged | the course | `model.onnx` "
    "| rows/s in-process: 1, 64 a run | rows/s served |\n"
    "|---|---|---:|---|---:|---:|---:|---:|---:|---:|\n"
)


def packages_table(folder: Path = FOLDER) -> str:
    """The packages in the results of `folder` as a Markdown table; empty if none was ever checked.

    Raises TrainingError naming a file that is no result.
    """
    lines: list[str] = []
    for path in sorted(folder.glob("*.json")):
        try:
            lines.extend(_lines(read_result(path)))
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"{path}: not what a run and a check of its package record: {error!r}") from error
    return HEADER + "".join(lines) if lines else ""


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    run = result.get("run") or {}
    for numbers, package in (result.get("packages") or {}).items():
        fp32 = numbers == "fp32"
        flipped = run["metrics"].get("flip_averaged_accuracy") if fp32 else None
        rates = package["rows_per_second"]
        cells = (
            f"`{result['recipe']}`",
            numbers.upper() if numbers == "int8" else numbers,
            f"{run['parameters']:,}",
            f"{duration(run['seconds'])}, {run.get('compute', 'float32')}" if fp32 else "",
            f"**{_percent(package['accuracy'])}**",
            _percent(flipped) if flipped is not None else "",
            run["course_figure"] if fp32 else "",
            f"{package['bytes'] / 1024:,.0f} KiB",
            ", ".join(f"{rates['in_process'][rows]:,.0f}" for rows in ("1", "64")),
            f"{rates['served']:,.0f}",
        )
        yield "| " + " | ".join(cell or "-" for cell in cells) + " |\n"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


if __name__ == "__main__":
    try:
        sys.stdout.write(packages_table())
    except TrainingError as wrong:
        sys.exit(str(wrong))
