"""The dashboard of the processes: what they take of the machine, and whether they live."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards import SERVERS, board
from deploy.grafana.panels import columns, limited, lines

PROCESS = "{{instance}} {{worker}}"
"""Of several workers each is told apart; the label is empty where one process serves."""


def machine() -> Dashboard:
    """Memory, threads, CPU, descriptors, workers, restarts, provider, log lines and traces lost."""
    return board(
        "signet-machine",
        "Signet / Machine",
        "What each process takes of its machine, how often it was started, and what it computes on.",
        ("job", "instance"),
        {
            "Processes": [
                lines("Memory", "Resident.", "bytes", {PROCESS: f"process_resident_memory_bytes{{{SERVERS}}}"}),
                lines(
                    "CPU",
                    "Cores that were busy.",
                    "none",
                    {PROCESS: f"rate(process_cpu_seconds_total{{{SERVERS}}}[$__rate_interval])"},
                ),
                lines("Threads", "Of each process.", "none", {PROCESS: f"process_threads{{{SERVERS}}}"}),
                limited(
                    lines(
                        "File descriptors",
                        "Open ones as a part of those that the process may open: connections, mostly.",
                        "percentunit",
                        {PROCESS: f"process_open_fds{{{SERVERS}}} / process_max_fds{{{SERVERS}}}"},
                    ),
                    0.8,
                ),
                lines(
                    "Running since",
                    "Time since each process was started.",
                    "s",
                    {PROCESS: f"time() - process_start_time_seconds{{{SERVERS}}}"},
                ),
                lines(
                    "Log lines dropped",
                    "A second, since nobody took them fast enough.",
                    "ops",
                    {
                        "{{instance}}": "sum by (instance) "
                        f"(rate(signet_log_lines_dropped_total{{{SERVERS}}}[$__rate_interval]))"
                    },
                ),
                lines(
                    "Traces lost",
                    "Calls a second whose traces were lost, since the collector took none or not fast enough.",
                    "ops",
                    {
                        "{{instance}}": "sum by (instance) "
                        f"(rate(signet_traces_lost_total{{{SERVERS}}}[$__rate_interval]))"
                    },
                ),
            ],
            "Workers": [
                lines(
                    "Workers ready",
                    "Processes that serve on one port; 1 where there is no supervisor.",
                    "none",
                    {"{{instance}}": f"signet_workers{{{SERVERS}}} or on (job, instance) up{{{SERVERS}}}"},
                ),
                lines(
                    "Workers started again",
                    "In the last 15 minutes, since they ended or fell silent.",
                    "none",
                    {"{{instance}}": f"increase(signet_worker_restarts_total{{{SERVERS}}}[15m])"},
                ),
                lines(
                    "Starts",
                    "How often the process itself was started in the last 30 minutes; a new release is one.",
                    "none",
                    {
                        "{{instance}}": "sum by (instance) "
                        f'(changes(process_start_time_seconds{{{SERVERS}, worker=~"|supervisor"}}[30m]))'
                    },
                ),
            ],
            "What computes": [
                columns(
                    "Servers",
                    "The release that runs, and since when.",
                    {
                        "_release": f"max by (instance, version) (signet_build_info{{{SERVERS}}})",
                        "started": "max by (instance) "
                        f'(process_start_time_seconds{{{SERVERS}, worker=~"|supervisor"}} * 1000)',
                    },
                    {"started": "dateTimeAsIso"},
                    span=12,
                ),
                columns(
                    "Providers",
                    "Execution provider of onnxruntime and threads of one run, by version.",
                    {
                        "_provider": "max by (instance, model, version, provider) "
                        f"(signet_model_provider{{{SERVERS}}})",
                        "threads": f"max by (instance, model, version) (signet_model_intra_op_threads{{{SERVERS}}})",
                    },
                    {},
                    span=12,
                ),
            ],
        },
    )
