"""Histograms for the path of every request: to observe one is a search and two sums under a lock.

Owns the counts, from which prometheus_client makes the scrape; its own histograms pass through four calls and three
locks an observation, which takes five times as long. Does not know which histograms there are.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from threading import Lock

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Observations:
    """Counts of what was observed for one set of labels, from any thread. `bounds`: the largest value of each."""

    __slots__ = ("_bounds", "_counts", "_lock", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = Lock()

    def observe(self, value: float) -> None:
        """Count `value`."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value

    def read(self) -> tuple[list[int], float]:
        """How many values were at most as large as each bound, and how many there were; their sum."""
        with self._lock:
            return list(accumulate(self._counts)), self._sum


class Histogram(Collector):
    """A Prometheus histogram whose series have `label_names`, on `registry`. `bounds` rise; +Inf follows by itself."""

    def __init__(
        self, name: str, text: str, label_names: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._text = text
        self._label_names = tuple(label_names)
        self._bounds = tuple(bounds)
        self._children: dict[tuple[str, ...], Observations] = {}
        self._lock = Lock()
        registry.register(self)

    def labels(self, *values: str) -> Observations:
        """The series of these values, in the order of the label names."""
        if len(values) != len(self._label_names):
            raise ValueError(f"{self._name}: {values} came; values of {self._label_names} were expected")
        with self._lock:
            return self._children.setdefault(values, Observations(self._bounds))

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Forget every series that has these labels."""
        with self._lock:
            for values in [values for values in self._children if self._matches(values, labels)]:
                del self._children[values]

    def read(self, labels: Mapping[str, str]) -> list[tuple[dict[str, str], int, float]]:
        """Of every series that has these labels: all its labels, how often it was observed, the sum."""
        series = [
            (self._named(values), *child.read()) for values, child in self._all() if self._matches(values, labels)
        ]
        return [(named, counts[-1], total) for named, counts, total in series]

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """See Collector."""
        yield HistogramMetricFamily(self._name, self._text, labels=self._label_names)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """See Collector."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._label_names)
        bounds = [floatToGoString(bound) for bound in (*self._bounds, inf)]  # type: ignore[no-untyped-call]
        for values, child in self._all():
            counts, total = child.read()
            family.add_metric(values, list(zip(bounds, counts, strict=True)), total)
        yield family

    def _all(self) -> list[tuple[tuple[str, ...], Observations]]:
        with self._lock:
            return list(self._children.items())

    def _named(self, values: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(self._label_names, values, strict=True))

    def _matches(self, values: tuple[str, ...], labels: Mapping[str, str]) -> bool:
        return labels.items() <= self._named(values).items()
