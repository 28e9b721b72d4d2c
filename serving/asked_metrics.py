"""Figures that others keep, asked for at each scrape: those of the process, and counts.

Owns how the system is asked. Does not know which counts there are.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

PROCESS_STATUS = Path("/proc/self/status")


class AskedCounter(Collector):
    """The counter `name`, whose value is what `count` returns."""

    def __init__(self, name: str, text: str, count: Callable[[], int]) -> None:
        self._name = name
        self._text = text
        self._count = count

    def collect(self) -> Iterator[CounterMetricFamily]:
        """See Collector."""
        yield CounterMetricFamily(self._name, self._text, value=self._count())


class _Threads(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            status = PROCESS_STATUS.read_text()
        except OSError:
            return  # No Linux: then there are no other figures of the process either.
        threads = status.partition("\nThreads:")[2].split(maxsplit=1)[0]
        yield GaugeMetricFamily("process_threads", "Threads of the process.", value=int(threads))


def collect_process(registry: CollectorRegistry) -> None:
    """Let each scrape of `registry` tell memory, CPU, descriptors, threads and collections of this process."""
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_Threads())
