"""Every Prometheus metric: name, help, unit, buckets.

Owns the registry, and children cached for the request path: looking a child up by its labels on each call costs more
than the observation. Does not know where the figures come from.

Label values are bounded: `model` and `version` are those of versions that were loaded, else "" (a caller's wrong name
never becomes one); `method`, `code` and `reason` come from fixed sets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as distribution_version
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector

from serving.asked_metrics import AskedCounter, collect_process
from serving.histogram import Histogram, Observations

LATENCY_BUCKETS_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
LOAD_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

MODEL_STATES = ("LOADING", "READY", "UNLOADING", "FAILED")

AnyMetric = TypeVar("AnyMetric", Histogram, Counter, Gauge)


@dataclass(frozen=True, slots=True)
class QueueMetrics:
    """What the batcher of one version observes. Queue and run times in seconds."""

    queue_seconds: Observations
    run_seconds: Observations
    batch_rows: Observations
    queue_rows: Gauge
    rows: Counter
    split_failures: Counter


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """How a version was loaded; `golden`: its check's largest difference and the tolerance, None without a check."""

    seconds: float
    provider: str
    intra_op_threads: int
    queue_rows_limit: int
    golden: tuple[float, float] | None = None


class Metrics:
    """The metrics of one process, on a registry of their own.

    `dropped_log_lines`, and `lost_traces` once somebody traces, are asked at each scrape.
    """

    def __init__(self, dropped_log_lines: Callable[[], int] = lambda: 0) -> None:
        # The time at which each series began doubles the scrape and tells nobody anything.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        collect_process(self.registry)
        PlatformCollector(registry=self.registry)
        self._of_versions: list[Histogram | Counter | Gauge] = []
        model = ("model", "version")
        self._request_seconds = self._histogram(
            "signet_request_seconds",
            "Time from a request's bytes to its answer's bytes, whatever the outcome, in seconds.",
            (*model, "method", "code"),
            LATENCY_BUCKETS_SECONDS,
        )
        self.in_flight = 0
        in_flight = Gauge("signet_requests_in_flight", "Requests being worked on.", registry=self.registry)
        in_flight.set_function(lambda: self.in_flight)
        self._refusals = self._counter(
            "signet_refusals", "Requests refused before a run, by reason.", (*model, "reason")
        )
        self._queue_seconds = self._histogram(
            "signet_queue_seconds",
            "Time that rows waited for their run, in seconds.",
            model,
            LATENCY_BUCKETS_SECONDS,
        )
        self._run_seconds = self._histogram(
            "signet_run_seconds", "Time of one onnxruntime run, in seconds.", model, LATENCY_BUCKETS_SECONDS
        )
        self._batch_rows = self._histogram("signet_batch_rows", "Rows in one onnxruntime run.", model, ROWS_BUCKETS)
        self._queue_rows = self._gauge("signet_queue_rows", "Rows waiting for a run.", model)
        self._queue_rows_limit = self._gauge("signet_queue_rows_limit", "Rows that may wait for a run at most.", model)
        self._rows = self._counter("signet_rows", "Rows answered.", model)
        self._split_failures = self._counter(
            "signet_split_runs", "Runs that failed and were split to find the rows at fault.", model
        )
        self._predictions = self._counter(
            "signet_predictions", "Rows answered by the label decided for.", (*model, "label")
        )
        self._model_state = self._gauge(
            "signet_model_state", "1 for the state that a version is in.", (*model, "state")
        )
        self._load_seconds = self._histogram(
            "signet_load_seconds",
            "Time to load a version, its checks and warm-up included, in seconds.",
            ("model",),
            LOAD_BUCKETS_SECONDS,
        )
        self._model_load_seconds = self._gauge(
            "signet_model_load_seconds", "Time that loading this version took, in seconds.", model
        )
        self._golden_difference = self._gauge(
            "signet_golden_difference",
            "Largest absolute difference from the recorded golden outputs; absent if a version has none.",
            model,
        )
        self._golden_tolerance = self._gauge(
            "signet_golden_tolerance", "Absolute difference up to which the golden check passes.", model
        )
        self._model_provider = self._gauge(
            "signet_model_provider",
            "1 for the onnxruntime execution provider of a READY version.",
            (*model, "provider"),
        )
        self._intra_op_threads = self._gauge(
            "signet_model_intra_op_threads",
            "Threads that the rows of a full run of a READY version are shared out among.",
            model,
        )
        self._version_label = self._gauge(
            "signet_version_label", "1 for the version that a label names.", (*model, "label")
        )
        self._traffic_percent = self._gauge(
            "signet_traffic_percent",
            "Percent of the requests without a version that the split sends to a label.",
            ("model", "label"),
        )
        build = Info("signet_build", "Version of the server.", registry=self.registry)
        build.info({"version": distribution_version("signet")})
        self.lost_traces: Callable[[], int] = lambda: 0
        for name, text, count in (
            (
                "signet_log_lines_dropped",
                "Log lines dropped because stderr took none or not fast enough.",
                dropped_log_lines,
            ),
            (
                "signet_traces_lost",
                "Traces of calls lost because the collector took none or not fast enough.",
                self._ask_for_lost_traces,
            ),
        ):
            self.registry.register(AskedCounter(name, text, count))
        self._request_children: dict[tuple[str, str, str, str], Observations] = {}
        self._prediction_children: dict[tuple[str, str], dict[str, Counter]] = {}
        self._gone: set[tuple[str, str]] = set()

    def observe_request(self, model: str, version: str, method: str, code: str, seconds: float) -> None:
        """Count one finished request."""
        key = (model, version, method, code)
        child = self._request_children.get(key)
        if child is None:
            if (model, version) in self._gone:
                return
            child = self._request_children[key] = self._request_seconds.labels(*key)
        child.observe(seconds)

    def count_refusal(self, model: str, version: str, reason: str) -> None:
        """Count a request that was refused."""
        if (model, version) in self._gone:
            return
        self._refusals.labels(model, version, reason).inc()

    def count_predictions(self, model: str, version: str, rows_by_label: dict[str, int]) -> None:
        """Count answered rows by their label."""
        if (model, version) in self._gone:
            return
        children = self._prediction_children.setdefault((model, version), {})
        for label, rows in rows_by_label.items():
            child = children.get(label)
            if child is None:
                child = children[label] = self._predictions.labels(model, version, label)
            child.inc(rows)

    def queue(self, model: str, version: str) -> QueueMetrics:
        """The children for the batcher of one version."""
        return QueueMetrics(
            queue_seconds=self._queue_seconds.labels(model, version),
            run_seconds=self._run_seconds.labels(model, version),
            batch_rows=self._batch_rows.labels(model, version),
            queue_rows=self._queue_rows.labels(model, version),
            rows=self._rows.labels(model, version),
            split_failures=self._split_failures.labels(model, version),
        )

    def set_state(self, model: str, version: str, state: str) -> None:
        """Show the state of a version; GONE removes every series of it, and what its last requests still count."""
        key = (model, version)
        if state == "GONE":
            self._gone.add(key)
            self._prediction_children.pop(key, None)
            for child in [child for child in self._request_children if child[:2] == key]:
                del self._request_children[child]
            for metric in self._of_versions:
                metric.remove_by_labels({"model": model, "version": version})
            return
        self._gone.discard(key)
        for name in MODEL_STATES:
            self._model_state.labels(model, version, name).set(name == state)

    def set_traffic(self, model: str, labels: Mapping[str, int], split: Mapping[str, float]) -> None:
        """Show the labels of a model's versions, and the percentages of its split by label."""
        for metric in (self._version_label, self._traffic_percent):
            metric.remove_by_labels({"model": model})
        for label, version in labels.items():
            self._version_label.labels(model, str(version), label).set(1)
        for label, percent in split.items():
            self._traffic_percent.labels(model, label).set(percent)

    def observe_load(self, model: str, version: str, load: LoadFigures) -> None:
        """Show how a version was loaded."""
        self._load_seconds.labels(model).observe(load.seconds)
        self._model_load_seconds.labels(model, version).set(load.seconds)
        self._model_provider.labels(model, version, load.provider).set(1)
        self._intra_op_threads.labels(model, version).set(load.intra_op_threads)
        self._queue_rows_limit.labels(model, version).set(load.queue_rows_limit)
        if load.golden is not None:
            for metric, figure in zip((self._golden_difference, self._golden_tolerance), load.golden, strict=True):
                metric.labels(model, version).set(figure)

    def requests(self, model: str, version: str) -> list[tuple[str, str, int, float]]:
        """The requests of a version: method, code, how many, seconds in all."""
        return [
            (labels["method"], labels["code"], count, seconds)
            for labels, count, seconds in self._request_seconds.read({"model": model, "version": version})
        ]

    def waits(self, model: str, version: str) -> tuple[int, float]:
        """How often rows of a version waited for their run, seconds in all."""
        series = self._queue_seconds.read({"model": model, "version": version})
        return next(((count, seconds) for _, count, seconds in series), (0, 0.0))

    def _ask_for_lost_traces(self) -> int:
        return self.lost_traces()

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return self._noted(Histogram(name, text, labels, buckets, self.registry), labels)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return self._noted(Counter(name, text, labels, registry=self.registry), labels)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return self._noted(Gauge(name, text, labels, registry=self.registry), labels)

    def _noted(self, metric: AnyMetric, labels: tuple[str, ...]) -> AnyMetric:
        if "version" in labels:
            self._of_versions.append(metric)
        return metric


class SupervisorMetrics:
    """The metrics of the process that watches over several workers, on a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        collect_process(self.registry)
        self.restarts = Counter(
            "signet_worker_restarts", "Workers started again after one ended or fell silent.", registry=self.registry
        )
        self.workers = Gauge("signet_workers", "Workers that are ready.", registry=self.registry)
