"""What a load measured, and how it is told: one line, JSON."""
from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from robustmq.bench.histogram import Histogram

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9}


class BenchError(Exception):
    """A load could not run: one clear sentence."""


@dataclass(frozen=True)
class Latency:
    """Percentiles in microseconds, and the whole curve as (microseconds, share of all) points."""

    count: int
    mean: float
    percentiles: dict[str, float]
    max: float
    curve: list[tuple[float, float]] = field(repr=False)

    @classmethod
    def of(cls, histogram: Histogram) -> Latency | None:
        """None when nothing was recorded."""
        if not histogram.total:
            return None
        return cls(histogram.total, histogram.mean / 1e3,
                   {name: histogram.percentile(percent) / 1e3 for name, percent in PERCENTILES.items()},
                   histogram.max / 1e3, [(ns / 1e3, share) for ns, share in histogram.curve()])

    def __str__(self) -> str:
        shown = [*self.percentiles.items(), ("max", self.max)]
        return "  ".join(f"{name} {microseconds(value)}" for name, value in shown)


def microseconds(value: float) -> str:
    """For people: three digits and a unit."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} µs"


@dataclass
class Result:
    """One load on one target. `messages` is what `rate` counts: deliveries where there are subscribers, else
    acknowledged or written messages.
    """

    load: str
    target: str
    elapsed_s: float
    messages: int
    bytes: int                                  # payload bytes of `messages`
    total: int = 0                              # as `messages`, warm-up and the end included
    sent: int = 0                               # in all
    lost: int = 0                               # sent, but not delivered within the bounded wait at the end
    errors: dict[str, int] = field(default_factory=dict)
    latency: Latency | None = None              # from the intended time of sending to the delivery
    ack_latency: Latency | None = None          # to the acknowledgement
    cpu_s: float | None = None                  # of the server, measured when it is our child
    peak_bytes: int | None = None               # of the server

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def cpu_s_per_million(self) -> float | None:
        """CPU seconds of the server for a million messages."""
        return self.cpu_s / self.messages * 1e6 if self.cpu_s is not None and self.messages else None

    @property
    def cpu_s_per_gb(self) -> float | None:
        """CPU seconds of the server for 10**9 payload bytes."""
        return self.cpu_s / self.bytes * 1e9 if self.cpu_s is not None and self.bytes else None

    def to_json(self) -> dict[str, Any]:
        """All fields and the derived ones."""
        return {**asdict(self), "rate": self.rate, "cpu_s_per_million": self.cpu_s_per_million,
                "cpu_s_per_gb": self.cpu_s_per_gb}

    def __str__(self) -> str:
        lines = [f"{self.load} on {self.target}: {self.rate:,.0f} msg/s, {self.bytes / self.elapsed_s / 1e6:,.1f} MB/s "
                 f"({self.messages:,} in {self.elapsed_s:.2f} s)" if self.elapsed_s else f"{self.load}: nothing ran"]
        if self.latency:
            lines.append(f"  delivery  {self.latency}")
        if self.ack_latency:
            lines.append(f"  ack       {self.ack_latency}")
        if self.cpu_s is not None:
            lines.append(f"  server    {self.cpu_s_per_million or 0:.3g} CPU s per million messages, "
                         f"{(self.peak_bytes or 0) / 2**20:,.0f} MiB at most")
        if self.lost:
            lines.append(f"  lost      {self.lost:,} of {self.sent:,}")
        lines += [f"  {name:9} {count:,}" for name, count in self.errors.items() if count]
        return "\n".join(lines)
