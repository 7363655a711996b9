"""Figures of the storage: one row for each case on each target, told as tables."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from robustmq.bench.kafka import KafkaLoad
from robustmq.bench.peers import RIVAL
from robustmq.bench.processes import Cores
from robustmq.bench.result import Result


@dataclass(frozen=True)
class Figure:
    """`values` by what they are and their unit; of each table the first is compared. None: nobody says."""

    table: str
    case: str
    target: str
    values: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


@dataclass(frozen=True)
class How:
    """What all parts share."""

    cores: Cores                    # of the servers while they are under load
    data_dir: Path | None
    seconds: float
    warmup_s: float
    gib: Sequence[int]              # sizes to restart with

    def timed(self, load: KafkaLoad) -> KafkaLoad:
        """A load as long as the options say."""
        return replace(load, seconds=self.seconds, warmup_s=self.warmup_s)


def acknowledged(result: Result) -> dict[str, float | None]:
    """Percentiles of the acknowledgement, in ms."""
    found = result.ack_latency.percentiles if result.ack_latency else {}
    return {f"ack {name} ms": found[name] / 1e3 if name in found else None for name in ("p50", "p99")}


def render(figures: Sequence[Figure]) -> str:
    """Markdown; lower is better for times."""
    blocks = []
    for table in dict.fromkeys(figure.table for figure in figures):
        rows = [figure for figure in figures if figure.table == table]
        names = list(dict.fromkeys(name for row in rows for name in row.values))
        lines = [[table, "", *names, f"× {RIVAL}"], ["---", "---", *["--:"] * (len(names) + 1)],
                 *([row.case, row.target, *(shown(row.values.get(name)) for name in names), ratio(row, rows)]
                   for row in sorted(rows, key=lambda row: [other.case for other in rows].index(row.case)))]
        blocks.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(blocks)


def shown(value: float | None) -> str:
    """Three digits, or all of what is larger."""
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(row: Figure, rows: Sequence[Figure]) -> str:
    """The first value over the rival's in the same case."""
    name = next(iter(row.values))
    theirs = next((other.values[name] for other in rows if other.target == RIVAL and other.case == row.case), None)
    ours = row.values[name]
    return f"{ours / theirs:.2f}" if ours and theirs and row.target != RIVAL else ""
