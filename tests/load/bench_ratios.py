"""The table of ratios that README.md holds, from the last benchmark: `python -m tests.load.bench_ratios`."""

import json
from typing import Any

from rich.console import Console

from tests.load.bench import RESULT, SHAPES, TRANSPORTS


def ratios_table(result: dict[str, Any]) -> str:
    """A Markdown table: a line for each model and transport, a column for each number of callers and rows a call."""
    found = {
        (row["model"], row["transport"], row["callers"], row["rows_per_call"]): row["ratio_to_in_process"]
        for row in result["rows"]
    }
    headings = [f"{callers} x {rows}" for callers, rows in SHAPES]
    lines = [f"| model | transport | {' | '.join(headings)} |", f"|---|---|{'---:|' * len(headings)}"]
    for model in dict.fromkeys(row["model"] for row in result["rows"]):
        for transport in TRANSPORTS:
            cells = [f"{found[model, transport, *shape]:.2f}" for shape in SHAPES]
            lines.append(f"| `{model}` | {transport} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    Console(soft_wrap=True).print(ratios_table(json.loads(RESULT.read_text(encoding="utf-8"))), markup=False)
