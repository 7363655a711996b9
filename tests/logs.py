"""Small logs for tests: segments of 1 MiB, at most eight of them."""
from __future__ import annotations

import time
from pathlib import Path

from robustmq._fastpath.stores.log import Log

ID = bytes(range(16))
MIB = 1 << 20


def open_log(path: Path | None, **bounds: int) -> Log:
    return Log(path, **{"segment_bytes": MIB, "journal_bytes": 8 * MIB, "memory_bytes": 8 * MIB, **bounds})


def settled(log: Log, segments: int = 8) -> None:
    """Until the keeper has retired what is above the bound."""
    deadline = time.monotonic() + 30
    while log.stats().get("wal", log.stats()["memory"])["bytes_kept"] > (segments - 1) * MIB:
        assert time.monotonic() < deadline
        time.sleep(0.01)
