"""The dashboard that is looked at first: what callers get."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards import SERVERS, VERSIONS, board
from deploy.grafana.panels import columns, heat_map, limited, lines, number

REQUESTS = f"signet_request_seconds_count{{{VERSIONS}}}"
FOUND = f"signet_request_seconds_count{{{VERSIONS}, model!=''}}"
BUCKETS = f"signet_request_seconds_bucket{{{VERSIONS}}}"
BY_MODEL = 'job=~"$job", model=~"$model"'


def overview() -> Dashboard:
    """Rate, failures, latency, queue, runs, refusals, split."""
    return board(
        "signet-overview",
        "Signet / Overview",
        "What callers get: how many requests, how many fail, how long they take, what waits, what is refused.",
        ("job", "instance", "model", "version"),
        {
            "Now": [
                number("Requests", "Requests a second, failed ones included.", "reqps", f"sum({_rate(REQUESTS)})"),
                number(
                    "Failed by our fault",
                    "Part of the requests of the last 5 minutes that a caller could not help. The objective: 0.1 %.",
                    "percentunit",
                    f"sum(model:signet_errors:rate5m{{{BY_MODEL}}}) / sum(model:signet_requests:rate5m{{{BY_MODEL}}})",
                    0.001,
                    0.0144,
                ),
                number(
                    "99 % take at most",
                    "Time of answered requests, bytes to bytes, in the server.",
                    "s",
                    _quantile(0.99, "code='OK'", "le"),
                    0.1,
                    0.5,
                ),
                number(
                    "READY versions",
                    "Versions of models that answer, on any server.",
                    "none",
                    f'count(max by (model, version) (signet_model_state{{{VERSIONS}, state="READY"}} == 1))',
                ),
                number(
                    "Servers",
                    "Targets that Prometheus can scrape.",
                    "none",
                    f"sum(up{{{SERVERS}}})",
                ),
                number(
                    "Firing alerts",
                    "What to do about each: deploy/README.md.",
                    "none",
                    'count(ALERTS{alertname=~"Signet.*", alertstate="firing"}) or vector(0)',
                    1,
                ),
            ],
            "Requests": [
                lines(
                    "Requests by version",
                    "A second, whatever the outcome; without a model: no READY version was found for them.",
                    "reqps",
                    {"{{model}} {{version}}": _named(f"sum by (model, version) ({_rate(REQUESTS)})")},
                ),
                lines(
                    "Requests by method and status",
                    "A second, by the gRPC status that the caller got.",
                    "reqps",
                    {"{{method}} {{code}}": f"sum by (method, code) ({_rate(REQUESTS)})"},
                ),
                limited(
                    lines(
                        "Budgets burnt, last hour",
                        "How many times as fast as the objectives allow failures and late answers use up their "
                        "budgets. Above 14.4 someone is woken.",
                        "none",
                        {
                            "failures {{model}}": f"model:signet_error_burn:1h{{{BY_MODEL}}}",
                            "late {{model}}": f"model:signet_late_burn:1h{{{BY_MODEL}}}",
                        },
                    ),
                    6,
                    14.4,
                ),
            ],
            "Latency": [
                lines(
                    "Latency by version",
                    "Of answered requests, bytes to bytes, in the server: half, 95 % and 99 % take at most this.",
                    "s",
                    {
                        f"{name} {{{{model}}}} {{{{version}}}}": _quantile(part, "code='OK'", "le, model, version")
                        for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
                    },
                    span=12,
                ),
                heat_map(
                    "Latency of all requests",
                    "How many requests a second took how long, whatever the outcome.",
                    "s",
                    f"sum by (le) ({_rate(BUCKETS)})",
                    span=12,
                ),
            ],
            "Queue and runs": [
                limited(
                    lines(
                        "Queue",
                        "Waiting rows as a part of those that may wait; what does not fit is refused.",
                        "percentunit",
                        {
                            "{{model}} {{version}} {{instance}}": f"signet_queue_rows{{{VERSIONS}}} "
                            f"/ signet_queue_rows_limit{{{VERSIONS}}}"
                        },
                    ),
                    0.8,
                ),
                lines(
                    "Rows in a run",
                    "How many rows of all callers go through the model at once.",
                    "none",
                    {
                        "average {{model}} {{version}}": _average("signet_batch_rows"),
                        "p95 {{model}} {{version}}": "histogram_quantile(0.95, sum by (le, model, version) "
                        f"({_rate(f'signet_batch_rows_bucket{{{VERSIONS}}}')}))",
                    },
                ),
                lines(
                    "Rows answered",
                    "A second.",
                    "rowsps",
                    {"{{model}} {{version}}": f"sum by (model, version) ({_rate(f'signet_rows_total{{{VERSIONS}}}')})"},
                ),
                lines(
                    "Refusals by reason",
                    "Requests a second that were refused before a run.",
                    "reqps",
                    {
                        "{{reason}} {{model}}": "sum by (reason, model) "
                        f"({_rate(f'signet_refusals_total{{{VERSIONS}}}')})"
                    },
                ),
                lines(
                    "In flight",
                    "Requests that are being worked on.",
                    "none",
                    {"{{instance}}": f"sum by (instance) (signet_requests_in_flight{{{SERVERS}}})"},
                ),
                lines(
                    "Waiting for a run",
                    "Time that rows wait while the run before theirs goes on.",
                    "s",
                    {
                        "average {{model}} {{version}}": _average("signet_queue_seconds"),
                        "p99 {{model}} {{version}}": "histogram_quantile(0.99, sum by (le, model, version) "
                        f"({_rate(f'signet_queue_seconds_bucket{{{VERSIONS}}}')}))",
                    },
                ),
            ],
            "Labels and split": [
                lines(
                    "Where requests go",
                    "Each version's part of its model's requests: what the split asks for and callers choose.",
                    "percentunit",
                    {
                        "{{model}} {{version}}": f"sum by (model, version) ({_rate(FOUND)}) "
                        f"/ ignoring(version) group_left sum by (model) ({_rate(FOUND)})"
                    },
                    span=12,
                ),
                columns(
                    "Labels",
                    "Which version a label names, and the percentage of the requests without a version meant for it.",
                    {
                        "_named": f"max by (model, label, version) (signet_version_label{{{VERSIONS}}})",
                        "share": f'max by (model, label) (signet_traffic_percent{{{SERVERS}, model=~"$model"}})',
                    },
                    {"share": "percent"},
                    span=12,
                ),
            ],
        },
    )


def _rate(selector: str) -> str:
    return f"rate({selector}[$__rate_interval])"


def _named(expr: str) -> str:
    return f"label_replace({expr}, 'model', 'none', 'model', '')"


def _quantile(part: float, only: str, by: str) -> str:
    buckets = f"signet_request_seconds_bucket{{{VERSIONS}, {only}, model!=''}}"
    return f"histogram_quantile({part}, sum by ({by}) ({_rate(buckets)}))"


def _average(histogram: str) -> str:
    total, count = (f"sum by (model, version) ({_rate(f'{histogram}_{of}{{{VERSIONS}}}')})" for of in ("sum", "count"))
    return f"{total} / {count}"
