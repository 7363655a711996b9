"""Who reads sealed runs of streams to put others in their place takes turns.

A restart follows the ids of sealed files, which are given when a file is begun: of two that replace the same run, one
must have ended before the other begins. Whoever works on other streams is not waited for.
"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager

Streams = Set[int]


class Turns:
    """Of one log; of one event loop."""

    def __init__(self) -> None:
        self._busy: list[Streams | None] = []
        self._over = asyncio.Event()        # replaced at the end of each turn

    @asynccontextmanager
    async def take(self, streams: Streams | None) -> AsyncIterator[None]:
        """A turn with these streams (None: all) for the length of a block."""
        while any(busy is None or streams is None or not streams.isdisjoint(busy) for busy in self._busy):
            await self._over.wait()
        self._busy.append(streams)
        try:
            yield
        finally:
            self._busy.remove(streams)
            self._over.set()
            self._over = asyncio.Event()
