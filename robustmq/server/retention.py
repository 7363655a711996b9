"""Retention, compaction and merging on time: a pass each storage.retention_check_interval_ms (Kafka's
log.retention.check.interval.ms), on a thread beside the event loop."""
from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from robustmq._fastpath.broker.cleaner import Limit, clean
from robustmq._fastpath.stores.files import LogError
from robustmq._fastpath.stores.log import Log
from robustmq._fastpath.stores.merge import Merge
from robustmq.server.turns import Turns

logger = logging.getLogger(__name__)


class Retention:
    """Runs from `open` until `close`, which waits for what is under way; compaction and merging end early then.
    `compacted` names the streams of compacted topics; `turns` are shared with tiering, which replaces sealed runs too.
    `cleaner_bytes_per_s`: what compaction reads and writes, 0 for no bound; retention does not wait for it.
    `merge`: None for a log in memory.
    """

    def __init__(self, log: Log, interval_ms: int, max_keys: int, cleaner_bytes_per_s: int,
                 compacted: Callable[[], Iterable[int]], turns: Turns, merge: Merge | None) -> None:
        self._log = log
        self._interval_s = interval_ms / 1000
        self._max_keys = max_keys
        self._limit = Limit(cleaner_bytes_per_s)
        self._compacted = compacted
        self._turns = turns
        self._merge = merge
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()

    def open(self) -> None:
        self._tasks = [asyncio.create_task(self._run(work)) for work in (self._retain, self._rewrite)]

    async def close(self) -> None:
        self._closing.set()
        self._limit.stop()
        if self._merge is not None:
            self._merge.stop()
        await asyncio.gather(*self._tasks)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await asyncio.wait_for(self._closing.wait(), self._interval_s)
                return
            except TimeoutError:
                await work()

    async def _rewrite(self) -> None:
        await self._compact()
        if self._merge is not None:
            await self._join(self._merge)

    async def _retain(self) -> None:
        try:
            trimmed = await asyncio.to_thread(self._log.retain, now_ms())
        except LogError as error:
            logger.warning("retention: %s", error)
            return
        if trimmed:
            logger.debug("retention: %d partitions lost their oldest records", trimmed)

    async def _compact(self) -> None:
        for stream in self._compacted():        # one by one: there may be a million, and the loop has other work
            if self._closing.is_set():
                return
            try:
                async with self._turns.take({stream}):
                    done = await asyncio.to_thread(clean, self._log, stream, now_ms(), self._max_keys,
                                                   self._closing.is_set, self._limit)
            except (LogError, ValueError, LookupError, MemoryError) as error:
                logger.warning("compaction of stream %d: %s", stream, error)
                continue
            if done:
                logger.debug("compaction: stream %d", stream)

    async def _join(self, merge: Merge) -> None:
        try:
            more = await asyncio.to_thread(merge.plan) > 0
            while more and not self._closing.is_set():
                async with self._turns.take(None):
                    more = await asyncio.to_thread(merge.step)
        except (LogError, MemoryError) as error:
            logger.warning("%s", error)


def now_ms() -> int:
    """Wall time."""
    return time.time_ns() // 1_000_000
