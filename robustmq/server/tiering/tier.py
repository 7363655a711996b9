"""Tiering: sealed files of topics with remote.storage.enable go to the blob store, and leave the local disk after
local.retention.*; reading them brings them back (recalls.py).

    sealed -> uploaded (object, then its row in the MetaStore) -> released (a row without records takes the run's place)
           <- recalled

A pass each tier.interval_ms does what is to do; after a failure the next comes sooner, and later each time. The blob
store is not needed for appending, sealing, or reading what is here.
"""
from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from robustmq._fastpath.stores.files import LogError
from robustmq._fastpath.stores.log import Log
from robustmq._fastpath.stores.remote import Remote
from robustmq.server.blob.blob import Blob, BlobBroken, BlobError, BlobExists
from robustmq.server.blob.probe import probe
from robustmq.server.meta.store import MetaError
from robustmq.server.tiering.backoff import Backoff, whole
from robustmq.server.tiering.objects import Object, Objects, object_key
from robustmq.server.tiering.recalls import Recalls
from robustmq.server.tiering.runs import Run, runs_of, to_release
from robustmq.server.topics import Topic, TopicAdmin
from robustmq.server.turns import Turns

FOOTER = 64                 # bytes of a sealed file that tell it from every other (docs/formats/sealed.md)
logger = logging.getLogger(__name__)


class Tier:
    """From `open` until `close`."""

    def __init__(self, blob: Blob, log: Log, objects: Objects, topics: TopicAdmin, *, directory: Path, cluster: str,
                 cache_bytes: int, interval_ms: int, turns: Turns, tried: Callable[[], object]) -> None:
        """`directory`: of the sealed files. `turns`, `tried`: as for Recalls."""
        self.objects = objects
        self._blob = blob
        self._log = log
        self._topics = topics
        self._directory = directory
        self._turns = turns
        self._cluster = cluster
        self._interval_s = interval_ms / 1000
        self._remote = Remote(log)
        self.recalls = Recalls(blob, self._remote, directory, cache_bytes, turns, self._find, tried)
        self._backoff = Backoff()
        self._never = asyncio.Event()
        self._passing = asyncio.Lock()
        self._proven = False
        self._swept = False
        self._problem = ""
        self._tasks: list[asyncio.Task[None]] = []
        self.uploaded = self.released = 0
        # After damage the log may not know of a run that is in the store: then nothing there is deleted.
        self._may_delete = not (any(".sealed" in note for note in log.recovered.get("notes", ()))
                                or any(directory.glob("*.damaged")))

    @property
    def problem(self) -> str:
        """Why tiering does not work now, "" when it does."""
        return self._problem or self.recalls.problem

    def counters(self) -> dict[str, int]:
        """Since start, and as it is now."""
        return {"healthy": int(not self.problem), "objects": len(self.objects), "object_bytes": self.objects.size,
                "uploads": self.uploaded, "releases": self.released, "recalls": self.recalls.recalled,
                "cached_bytes": self.recalls.cached_bytes}

    async def open(self) -> None:
        """BlobBroken: the store does not keep its word."""
        await self.objects.open()
        try:
            await self._prove()
        except BlobBroken:
            raise
        except BlobError as error:
            self._failed(error)
        self._adopt()
        self._remote.listen(asyncio.get_running_loop(), self.recalls.want)
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self.recalls.run())]

    async def close(self) -> None:
        """Stop; an upload under way is done again by the next life."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._remote.close(asyncio.get_running_loop())

    async def _prove(self) -> None:
        await probe(self._blob)
        self._proven = True

    def _adopt(self) -> None:
        """What an earlier life has brought back is in the cache; what damage took from the log is brought back."""
        for item in self.objects:
            stream = self.objects.stream(item)
            if stream is None or self._is_gone(item):
                continue
            run = next((run for run in runs_of(self._remote, stream) if run.base <= item.base < run.end), None)
            if run is None:
                logger.warning("tiering: the log has lost a run, it is brought back", extra={"key": item.key})
                self.recalls.bring(stream, item.base)
            elif run.base == item.base and not run.elsewhere and run.file != item.file:
                self.recalls.adopt(stream, run.file, item)

    def _find(self, stream: int, base: int) -> Object | None:
        for item in self.objects:
            if item.base == base and self.objects.stream(item) == stream:
                return item
        return None

    async def _run(self) -> None:
        while True:
            try:
                await self.do_pass()
            except (BlobError, LogError, MetaError, OSError) as error:
                self._failed(error)
                await self._backoff.wait()
                continue
            self._problem = ""
            self._backoff.reset()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._never.wait(), self._interval_s)

    def _failed(self, error: Exception) -> None:
        if str(error) != self._problem:
            logger.warning("tiering: %s", error)
        self._problem = str(error)

    async def do_pass(self) -> None:
        """Upload, release and delete what is due. One pass at a time: what another has put and not yet noted would be
        an orphan to the sweep. BlobError, LogError, MetaError."""
        async with self._passing:
            if not self._proven:
                await self._prove()
            if not self._swept:
                await self._sweep()
            for topic, configs in self._topics.tiered():
                for number, stream in enumerate(topic.streams):
                    await self._partition(topic, number, stream, configs)
            await self._delete_what_is_gone()

    async def _sweep(self) -> None:
        """Delete objects that no row tells of: the broker ended between the two."""
        known = {item.key for item in self.objects}
        for found in await self._blob.list(self._cluster):
            if found.key not in known and self._may_delete:
                logger.info("tiering: an upload that was not finished is deleted", extra={"key": found.key})
                await self._blob.delete(found.key)
        self._swept = True

    async def _partition(self, topic: Topic, number: int, stream: int, configs: Mapping[str, str]) -> None:
        for run in runs_of(self._remote, stream):
            if (not run.elsewhere and run.alone and self.objects.get(topic.id, number, run.base) is None
                    and configs["remote.copy.disable"].lower() != "true"):
                await self._upload(topic, number, run)
        uploaded = {}
        for run in runs_of(self._remote, stream):
            item = self.objects.get(topic.id, number, run.base)
            if item is not None and item.end == run.end and item.file == run.file:
                uploaded[run.base] = item
        with suppress(LookupError):
            journal = self._log.partition(stream).bytes
            out = to_release(runs_of(self._remote, stream), uploaded.keys(), journal, configs, time.time_ns() // 10**6)
            if out:
                async with self._turns.take({stream}):
                    await whole(self._remote.release, [(stream, run.base, run.file, run.file) for run in out])
                self.released += len(out)

    async def _upload(self, topic: Topic, number: int, run: Run) -> None:
        path = self._directory / f"{run.file:016x}.sealed"
        key = object_key(self._cluster, topic.id, number, run.base, run.file)
        try:
            size = path.stat().st_size
            await self._put(key, path, size)
        except FileNotFoundError:
            return                                      # retention was faster
        await self.objects.add(Object(topic.id, number, run.base, run.end, run.file, size, key))
        self.uploaded += 1

    async def _put(self, key: str, path: Path, size: int) -> None:
        """An object that is there already is ours when it is the same: the answer to an earlier try was lost."""
        try:
            await self._blob.put(key, path)
        except BlobExists:
            there = await self._blob.get_range(key, size - FOOTER, FOOTER + 1)
            if there != await asyncio.to_thread(last_bytes, path, FOOTER):
                raise BlobError(f"{self._blob.url}: another broker has written {key}; give each broker a tier.url of "
                                "its own") from None

    async def _delete_what_is_gone(self) -> None:
        gone = [item for item in self.objects if self._is_gone(item)]
        if gone and self._may_delete:
            await whole(self._log.sync)     # that it has gone survives power loss before the object goes
            for item in gone:
                await self._blob.delete(item.key)
                await self.objects.remove(item)

    def _is_gone(self, item: Object) -> bool:
        stream = self.objects.stream(item)
        try:
            return stream is None or bool(self._log.partition(stream).start >= item.end)
        except LookupError:
            return True


def last_bytes(path: Path, count: int) -> bytes:
    """The end of a file."""
    with path.open("rb") as file:
        file.seek(-count, 2)
        return file.read()
