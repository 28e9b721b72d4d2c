"""The metrics of several workers as one scrape.

Owns how the figures of one metric become one: counters and histograms are summed, and what a worker that is gone had
counted stays in the sum; gauges are summed, or the greatest stands; those of a process are told apart by the label
`worker`. Does not know where scrapes come from.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

Rule = Literal["sum", "greatest", "each"]

GAUGES: dict[str, Rule] = {
    "signet_requests_in_flight": "sum",
    "signet_queue_rows": "sum",
    "signet_queue_rows_limit": "sum",
    "signet_model_state": "greatest",
    "signet_model_load_seconds": "greatest",
    "signet_golden_difference": "greatest",
    "signet_golden_tolerance": "greatest",
    "signet_model_provider": "greatest",
    "signet_model_intra_op_threads": "greatest",
    "signet_version_label": "greatest",
    "signet_traffic_percent": "greatest",
    "signet_build_info": "greatest",
    "python_info": "greatest",
}
"""Gauges that are not named here are summed."""

COUNTED = frozenset({"counter", "histogram", "summary"})
STATES = "signet_model_state"

Scrape = dict[str, Metric]
"""Families by name."""


class MergedMetrics:
    """The newest scrape of each worker, and the counts of those that are gone."""

    def __init__(self) -> None:
        self._newest: dict[str, Scrape] = {}
        self._departed: Scrape = {}

    def take(self, worker: str, text: str) -> None:
        """Take a worker's scrape, in Prometheus' text format, in place of its last one."""
        self._newest[worker] = {family.name: family for family in text_string_to_metric_families(text)}

    def depart(self, worker: str) -> None:
        """Keep the counts of a worker that is gone, and forget its gauges."""
        scrape = self._newest.pop(worker, {})
        counts = {name: family for name, family in scrape.items() if _rule(family) == "sum" and _is_counted(family)}
        self._departed = _merged([("", self._departed), ("", counts)])

    def families(self) -> Iterator[Metric]:
        """Every metric once. Series of versions that no worker has any more are left out for good."""
        alive = {_version(sample) for scrape in self._newest.values() for sample in _samples(scrape.get(STATES))}
        if alive:
            self._departed = {name: _only(family, alive) for name, family in self._departed.items()}
        yield from _merged([("", self._departed), *self._newest.items()]).values()


def _merged(scrapes: Iterable[tuple[str, Scrape]]) -> Scrape:
    figures: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    merged: Scrape = {}
    for worker, scrape in scrapes:
        for name, family in scrape.items():
            if name not in merged:
                merged[name], figures[name] = Metric(name, family.documentation, family.type), {}
            rule, values = _rule(family), figures[name]
            for sample in family.samples:
                labels = {**sample.labels, "worker": worker} if rule == "each" else sample.labels
                key = (sample.name, tuple(labels.items()))
                known = values.get(key)
                if known is None:
                    values[key] = sample.value
                else:
                    values[key] = known + sample.value if rule == "sum" else max(known, sample.value)
    for name, values in figures.items():
        merged[name].samples = [Sample(sample, dict(labels), value) for (sample, labels), value in values.items()]
    return merged


def _rule(family: Metric) -> Rule:
    if family.name.startswith("process_"):
        return "each"
    return "sum" if _is_counted(family) else GAUGES.get(family.name, "sum")


def _is_counted(family: Metric) -> bool:
    return family.type in COUNTED


def _samples(family: Metric | None) -> list[Sample]:
    return [] if family is None else family.samples


def _version(sample: Sample) -> tuple[str, str]:
    return sample.labels.get("model", ""), sample.labels.get("version", "")


def _only(family: Metric, alive: set[tuple[str, str]]) -> Metric:
    kept = Metric(family.name, family.documentation, family.type)
    kept.samples = [one for one in family.samples if not one.labels.get("version") or _version(one) in alive]
    return kept
