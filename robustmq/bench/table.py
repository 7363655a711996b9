"""The table of a comparison: one block for each load, the first target against all others."""
from __future__ import annotations

from collections.abc import Sequence

from robustmq.bench.compare import Failure, Outcome
from robustmq.bench.result import Result, microseconds

HEADER = ("", "msg/s", "MB/s", "p50", "p99", "p99.9", "CPU s/M", "CPU s/GB", "peak MiB", "lost", "ours is")


def ratio(ours: Outcome | None, other: Outcome) -> str:
    """How many times faster ours is: by rate; by median latency where both held the same rate."""
    if not isinstance(ours, Result) or not isinstance(other, Result) or ours is other or not other.rate:
        return ""
    rates = ours.rate / other.rate
    if 0.97 < rates < 1.03 and ours.latency and other.latency:
        return f"{other.latency.percentiles['p50'] / ours.latency.percentiles['p50']:.2f}× (p50)"
    return f"{rates:.2f}×"


def cells(outcome: Outcome, ours: Outcome | None) -> list[str]:
    """One row."""
    if isinstance(outcome, Failure):
        return [outcome.target, "failed: " + outcome.reason.splitlines()[0][:120]]
    latency = outcome.latency or outcome.ack_latency
    percentiles = [microseconds(latency.percentiles[name]) if latency else "" for name in ("p50", "p99", "p99.9")]
    return [outcome.target, f"{outcome.rate:,.0f}", f"{outcome.bytes / max(outcome.elapsed_s, 1e-9) / 1e6:,.1f}",
            *percentiles, number(outcome.cpu_s_per_million), number(outcome.cpu_s_per_gb),
            f"{outcome.peak_bytes / 2**20:,.0f}" if outcome.peak_bytes else "",
            f"{outcome.lost:,}" if outcome.lost else "", ratio(ours, outcome)]


def number(value: float | None) -> str:
    """Three digits; nothing for what is not known."""
    return "" if value is None else f"{value:.3g}"


def render(outcomes: Sequence[Outcome]) -> str:
    """Markdown."""
    blocks = []
    for load in dict.fromkeys(outcome.load for outcome in outcomes):
        rows = [outcome for outcome in outcomes if outcome.load == load]
        ours = next((o for o in rows if o.target.startswith("robustmq") and isinstance(o, Result)), None)
        lines = [[load, *HEADER[1:]], ["---", *["--:"] * (len(HEADER) - 1)], *(cells(row, ours) for row in rows)]
        blocks.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(blocks)
