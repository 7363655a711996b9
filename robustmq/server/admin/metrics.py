"""Prometheus text from the counters of all parts.

A part hands over dicts of numbers; what a field becomes follows from its shape and its name:

    int                     a counter NAME_total; a gauge when its name is in GAUGES
    NAME_ns                 a counter NAME_seconds_total (NAME_ns_max: a gauge in seconds)
    NAME_buckets: list      a histogram NAME_seconds; bucket i counts what took less than 2^i µs; NAME_ns is its sum
    NAME: dict              a counter per key, with the label of LABELS

prometheus-client is imported with the first scrape: a broker that nobody scrapes does not carry it.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Counters = Mapping[str, object]
GAUGES = frozenset({
    "connections", "connected", "queued", "inflight", "awaiting_disk", "orphans", "fetches_waiting", "sessions",
    "subscriptions", "frames_in_progress", "topics", "partitions", "retained", "groups", "members", "tail", "start",
    "durable", "segments", "segment_bytes", "bytes_kept", "files", "file_bytes", "pinned", "up", "uptime_s",
    "log_writable", "metadata_writable", "shared_groups", "objects", "object_bytes", "cached_bytes", "healthy",
})
BUCKETS = 25                    # the last is 17 s; what took longer is in +Inf
LABELS = {"requests": "api", "errors": "code"}


@dataclass(frozen=True)
class Source:
    """One part: metrics robustmq_PART_FIELD, one row of counters for each value of `label` (one without when empty)."""

    part: str
    rows: list[Counters]
    label: str = ""

    def labelled(self) -> Iterator[tuple[list[str], Counters]]:
        """Label values and counters of each row."""
        for number, row in enumerate(self.rows):
            yield ([str(number)] if self.label else []), row


def text(sources: Iterable[Source]) -> tuple[bytes, str]:
    """The page and its content type."""
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.process_collector import ProcessCollector
    from prometheus_client.registry import Collector, CollectorRegistry

    listed = list(sources)

    class Everything(Collector):
        def collect(self) -> Iterator[Metric]:
            for source in listed:
                yield from families(source)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Everything())
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def families(source: Source) -> Iterator[Metric]:
    """The metric families of one part."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    names = list(dict.fromkeys(name for row in source.rows for name in row))
    sums = {name.removesuffix("_buckets") + "_ns" for name in names if name.endswith("_buckets")}
    labels = [source.label] if source.label else []
    for name in names:
        if name in sums:
            continue
        values = [(label, row[name]) for label, row in source.labelled() if name in row]
        title = f"robustmq_{source.part}_{name}"
        about = f"{source.part}: {name.replace('_', ' ')}"
        if name.endswith("_buckets"):
            yield histogram(source, name, labels)
        elif name.endswith("_ns_max"):
            yield filled(GaugeMetricFamily(title.removesuffix("_ns_max") + "_seconds_max", about, labels=labels),
                         values, 1e-9)
        elif name.endswith("_ns"):
            seconds = title.removesuffix("_ns") + "_seconds"
            yield filled(CounterMetricFamily(seconds, about, labels=labels), values, 1e-9)
        elif any(isinstance(value, dict) for _, value in values):
            yield by_key(CounterMetricFamily(title, about, labels=[*labels, LABELS.get(name, "kind")]), values)
        elif name in GAUGES:
            yield filled(GaugeMetricFamily(title, about, labels=labels), values, 1)
        else:
            yield filled(CounterMetricFamily(title, about, labels=labels), values, 1)


def filled(family: Metric, values: Iterable[tuple[list[str], object]], scale: float) -> Metric:
    """A family with one sample per row."""
    for label, value in values:
        assert isinstance(value, int | float)
        family.add_metric(label, value * scale)     # type: ignore[attr-defined]
    return family


def by_key(family: Metric, values: Iterable[tuple[list[str], object]]) -> Metric:
    """A family with one sample per row and key."""
    for label, value in values:
        assert isinstance(value, dict)
        for key, number in value.items():
            family.add_metric([*label, str(key)], number)   # type: ignore[attr-defined]
    return family


def histogram(source: Source, name: str, labels: list[str]) -> Metric:
    """A histogram from buckets of powers of two of microseconds."""
    from prometheus_client.core import HistogramMetricFamily

    stem = name.removesuffix("_buckets")
    family = HistogramMetricFamily(f"robustmq_{source.part}_{stem}_seconds", f"{source.part}: {stem.replace('_', ' ')}",
                                   labels=labels)
    for label, row in source.labelled():
        counts = row.get(name)
        total_ns = row.get(stem + "_ns", 0)
        if not isinstance(counts, list) or not isinstance(total_ns, int):
            continue
        running, buckets = 0, []
        for power, number in enumerate(counts[:BUCKETS]):
            running += number
            buckets.append((repr(2**power / 1e6), running))
        buckets.append(("+Inf", sum(counts)))
        family.add_metric(label, buckets=buckets, sum_value=total_ns * 1e-9)
    return family
