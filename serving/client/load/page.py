"""A load test as one HTML file: charts, tables, remarks; light and dark, wide and phone.

Owns the page. Does not know how charts are drawn.
"""

from collections.abc import Sequence
from html import escape
from string import Template

from serving.client.load.charts import latency_by_step, latency_curves, outcome_bars
from serving.client.load.figures import Figures
from serving.client.load.tables import LATENCY_COLUMNS, OUTCOME_COLUMNS, latency_rows, outcome_rows, remarks

_STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --soft: #60646c; --back: #fcfcfd; --line: #d9d9e0;
  --good: #2a7e4f; --refused: #c98a12; --bad: #c23434;
  --c0: #2563a8; --c1: #2a7e4f; --c2: #b4660a; --c3: #a32c6b; --c4: #6b4fbb; --c5: #4f5b66; }
@media (prefers-color-scheme: dark) {
  :root { --text: #edeef0; --soft: #b0b4ba; --back: #111113; --line: #43484e;
    --good: #4cc38a; --refused: #f0b429; --bad: #ff6369;
    --c0: #70b8ff; --c1: #4cc38a; --c2: #ffa057; --c3: #ff8dcc; --c4: #baa7ff; --c5: #b0b4ba; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 3rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .note, .about { color: var(--soft); overflow-wrap: anywhere; }
.verdict { font-weight: 600; } .verdict.failed { color: var(--bad); } .verdict.passed { color: var(--good); }
svg { display: block; width: 100%; max-width: 46rem; height: auto; } text { fill: var(--text); font-size: 13px; }
.grid { stroke: var(--line); } .line { fill: none; stroke-width: 2; } .dot { stroke: none; }
rect.good { fill: var(--good); } rect.refused { fill: var(--refused); } rect.bad { fill: var(--bad); }
.keys { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.key::before { content: ""; display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px;
  background: var(--key); }
.key.good { --key: var(--good); } .key.refused { --key: var(--refused); } .key.bad { --key: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:nth-child(-n + 2), td:nth-child(-n + 2) { text-align: left; }
"""

_COLOURS = "".join(
    f".l{index} {{ stroke: var(--c{index}); }} .dot.l{index} {{ fill: var(--c{index}); }} "
    f".k{index} {{ --key: var(--c{index}); }}\n"
    for index in range(6)
)

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Load test</title>
<style>$style</style>
</head>
<body>
<h1>Load test</h1>
<p class="about">$title</p>
<p class="verdict $verdict">$verdict</p>
$remarks
<h2>What became of the calls</h2>
$bars
<p class="keys"><span class="key good">answered well</span><span class="key refused">refused</span>
<span class="key bad">wrong, late or failed</span></p>
$charts
<h2>Outcomes</h2>
<div class="scroll">$outcomes</div>
<h2>Latency in ms</h2>
<p class="note">From when a call should have been sent, by a Poisson process that waits for no answer.</p>
<div class="scroll">$latencies</div>
</body>
</html>
""")


def page(told: Figures, failed: Sequence[str], title: str) -> str:
    """The whole file; `title` says what was called and how."""
    steps = told["steps"]
    charts = []
    if len({step["rate"] for step in steps}) > 1:
        charts.append(f"<h2>Latency by rate</h2>{latency_by_step(steps)}")
    charts.append(f"<h2>Latency by percentile</h2>{latency_curves(steps)}")
    verdict = "failed" if failed else "passed" if told["finished"] else "stopped"
    return _PAGE.substitute(
        style=_STYLE + _COLOURS,
        title=escape(title),
        verdict=verdict,
        remarks="".join(f'<p class="note">{escape(line)}</p>' for line in remarks(told, failed)),
        bars=outcome_bars(steps) if steps else "",
        charts="".join(charts) if steps else "",
        outcomes=_table(OUTCOME_COLUMNS, outcome_rows(told)),
        latencies=_table(LATENCY_COLUMNS, latency_rows(told)),
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Without the columns that are empty in every row."""
    filled = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    columns, rows = [columns[index] for index in filled], [[row[index] for index in filled] for row in rows]
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
