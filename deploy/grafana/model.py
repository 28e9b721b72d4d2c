"""The dashboard of the models: which versions there are, how they were checked, what they answer."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards import SERVERS, VERSIONS, board
from deploy.grafana.panels import STATES, columns, limited, lines, states


def model() -> Dashboard:
    """Versions, states, golden checks, loads, classes, runs."""
    return board(
        "signet-model",
        "Signet / Model",
        "Which versions there are and in which state, how they were checked and loaded, what they answer and how fast.",
        ("job", "instance", "model", "version"),
        {
            "Versions": [
                columns(
                    "Versions",
                    "Each version in its state. Without a golden difference: none was recorded, or the version FAILED.",
                    {
                        "_state": f"max by (model, version, state) (signet_model_state{{{VERSIONS}}} == 1)",
                        "_provider": f"max by (model, version, provider) (signet_model_provider{{{VERSIONS}}})",
                        "threads": _greatest("signet_model_intra_op_threads"),
                        "load time": _greatest("signet_model_load_seconds"),
                        "golden difference": _greatest("signet_golden_difference"),
                        "golden tolerance": _greatest("signet_golden_tolerance"),
                    },
                    {"load time": "s", "golden difference": "sci", "golden tolerance": "sci"},
                ),
                states(
                    "States",
                    "Of each version on each server; of several workers, the one furthest on its way.",
                    {
                        "{{model}} {{version}} {{instance}}": "max by (instance, model, version) ("
                        + " or ".join(
                            f'signet_model_state{{{VERSIONS}, state="{state}"}} * {number}'
                            for state, (number, _) in STATES.items()
                        )
                        + ")"
                    },
                ),
                limited(
                    lines(
                        "Golden difference",
                        "Largest difference from the outputs that training recorded, as a part of the tolerance; "
                        "above 100 % a version is not served.",
                        "percentunit",
                        {
                            "{{model}} {{version}}": f"{_greatest('signet_golden_difference')} "
                            f"/ {_greatest('signet_golden_tolerance')}"
                        },
                        span=12,
                    ),
                    1,
                ),
            ],
            "Loads": [
                lines(
                    "Load time by version",
                    "Checks and warm-up included; the slowest server's.",
                    "s",
                    {"{{model}} {{version}}": _greatest("signet_model_load_seconds")},
                    span=12,
                ),
                lines(
                    "Loads",
                    "Versions that were loaded in the last hour, over all servers and their workers.",
                    "none",
                    {
                        "{{model}}": "sum by (model) "
                        f'(increase(signet_load_seconds_count{{{SERVERS}, model=~"$model"}}[1h]))'
                    },
                    span=12,
                ),
            ],
            "Answers": [
                lines(
                    "Classes predicted",
                    "Rows a second by the label decided for.",
                    "rowsps",
                    {"{{model}} {{version}} {{label}}": _by_label()},
                    span=12,
                ),
                lines(
                    "Share of each class",
                    "Of a version's answered rows; a shift means other inputs, or another model.",
                    "percentunit",
                    {"{{model}} {{version}} {{label}}": f"{_by_label()} / ignoring(label) group_left {_labelled()}"},
                    span=12,
                ),
            ],
            "Runs": [
                lines(
                    "Run time",
                    "Of one onnxruntime run, however many rows: half and 99 % take at most this.",
                    "s",
                    {
                        f"{name} {{{{model}}}} {{{{version}}}}": f"histogram_quantile({part}, "
                        f"sum by (le, model, version) ({_rate('signet_run_seconds_bucket')}))"
                        for name, part in (("p50", 0.5), ("p99", 0.99))
                    },
                ),
                lines(
                    "Time in runs",
                    "Part of the time that a server spends in runs of a version; at 100 % its queue grows.",
                    "percentunit",
                    {
                        "{{model}} {{version}} {{instance}}": "sum by (instance, model, version) "
                        f"({_rate('signet_run_seconds_sum')})"
                    },
                ),
                lines(
                    "Runs that failed and were split",
                    "A second: some row made the model fail, and was looked for.",
                    "ops",
                    {"{{model}} {{version}}": f"sum by (model, version) ({_rate('signet_split_runs_total')})"},
                ),
            ],
        },
    )


def _greatest(metric: str) -> str:
    return f"max by (model, version) ({metric}{{{VERSIONS}}})"


def _rate(metric: str) -> str:
    return f"rate({metric}{{{VERSIONS}}}[$__rate_interval])"


def _by_label() -> str:
    return f"sum by (model, version, label) ({_rate('signet_predictions_total')})"


def _labelled() -> str:
    return f"sum by (model, version) ({_rate('signet_predictions_total')})"
