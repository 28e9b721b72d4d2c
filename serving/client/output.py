"""What `signet` prints.

Owns the look of tables and lines: drawn on a terminal, plain elsewhere, so that a pipe gets columns and no frames. Does
not know what is told.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def print_line(text: str) -> None:
    """One line of output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """One JSON value in one line."""
    print_line(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table without the columns that are empty in every row; where nobody looks, aligned columns."""
    cells = [list(row) for row in rows]
    filled = [index for index in range(len(columns)) if not cells or any(row[index] for row in cells)]
    columns = [columns[index] for index in filled]
    cells = [[row[index] for index in filled] for row in cells]
    if sys.stdout.isatty():
        # Imported only now: it takes longer than a whole command does.
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(*columns)
        for row in cells:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (columns, *cells):
        print_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def complain(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"signet: {' '.join(text.split())}\n")
