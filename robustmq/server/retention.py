"""Retention on time: a pass over all partitions each storage.retention_check_interval_ms (Kafka's
log.retention.check.interval.ms), on a thread beside the event loop."""
from __future__ import annotations

import asyncio
import logging
import time

from robustmq._fastpath.stores.files import LogError
from robustmq._fastpath.stores.log import Log

logger = logging.getLogger(__name__)


class Retention:
    """Runs from `open` until `close`, which waits for a pass under way."""

    def __init__(self, log: Log, interval_ms: int) -> None:
        self._log = log
        self._interval_s = interval_ms / 1000
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def open(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        self._closing.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._closing.wait(), self._interval_s)
                return
            except TimeoutError:
                await self._pass()

    async def _pass(self) -> None:
        try:
            trimmed = await asyncio.to_thread(self._log.retain, time.time_ns() // 1_000_000)
        except LogError as error:
            logger.warning("retention: %s", error)
            return
        if trimmed:
            logger.debug("retention: %d partitions lost their oldest records", trimmed)
