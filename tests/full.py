"""A journal whose readers hold all of it."""
from __future__ import annotations

from itertools import count

import pytest
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.stores.files import LogError
from tests.batches import batch
from tests.shims import store

SMALL = {"journal_bytes": 4 << 20, "slack_bytes": 0}
"""Sizes of a log of 1 MiB segments of which it takes a dozen to fill it."""

FILLER = 1 << 60                # number of a session that nobody has
PROCESS = 1


class Full:
    """While this context lasts nothing of the least of `sizes` can be appended to `log`, without them not a byte; then
    everything can."""

    def __init__(self, log: Log, name: str = "filler", sizes: tuple[int, ...] = ()) -> None:
        self.log, self.name, self.sizes = log, name, sizes
        self.room = store.Room(log)
        self.pins: list[store.Pin] = []

    def __enter__(self) -> Full:
        partition = self.log.create_stream(self.name, self.name.encode().ljust(16), 0, PROCESS)
        for size in self.sizes or (200_000, 20_000, 2_000, 200, 1):
            with pytest.raises(LogError, match="no room"):
                while True:
                    offset, _ = partition.append(batch([b"x" * size]))
                    self.pins.append(store.Pin(self.log, partition.stream, offset))
        if not self.sizes:
            with pytest.raises(RuntimeError):
                for sequence in count(1):       # the shortest entry there is
                    store.session_events(self.log, FILLER, sequence)
        store.sealer_rests(self.log)
        assert self.room.choked and self.log.health() == "ok"
        return self

    def __exit__(self, *why: object) -> None:
        for pin in self.pins:
            pin.release()
        self.room.wait()
