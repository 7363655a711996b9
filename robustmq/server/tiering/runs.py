"""A partition's runs as tiering sees them, and which of them local.retention.* lets go."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from robustmq._fastpath.stores.remote import Remote

AS_RETENTION = -2           # local.retention.*: what retention.* says


class Run(NamedTuple):
    """A stretch of a partition in a sealed file."""

    file: int
    alone: bool             # nothing else is in that file
    base: int
    end: int
    bytes: int
    max_timestamp_ms: int
    elsewhere: bool         # its records are in the blob store


def runs_of(remote: Remote, stream: int) -> list[Run]:
    """In order of offsets; none when the stream was deleted."""
    try:
        return [Run(file, rows == 1, base, end, size, latest, origin != 0)
                for file, rows, base, end, size, latest, origin in remote.runs(stream)]
    except LookupError:
        return []


def to_release(runs: Sequence[Run], uploaded: Collection[int], journal_bytes: int, configs: Mapping[str, str],
               now_ms: int) -> list[Run]:
    """The uploaded runs (by base offset) that need not be here any more, oldest first; `journal_bytes` follow them."""
    limit_ms, limit_bytes = limit(configs, "ms"), limit(configs, "bytes")
    here = journal_bytes + sum(run.bytes for run in runs if not run.elsewhere)
    out = []
    for run in runs:
        if run.elsewhere:
            continue
        old = limit_ms >= 0 and run.max_timestamp_ms < now_ms - limit_ms
        surplus = limit_bytes >= 0 and here - run.bytes >= limit_bytes
        if run.base in uploaded and (old or surplus):
            out.append(run)
            here -= run.bytes
    return out


def limit(configs: Mapping[str, str], unit: str) -> int:
    """local.retention.UNIT; -1: none."""
    local = int(configs[f"local.retention.{unit}"])
    return int(configs[f"retention.{unit}"]) if local == AS_RETENTION else local
