"""Bringing runs back: what readers ask for is copied from the blob store to the local disk, within `cache_bytes`.

A run that was asked for stays wanted until it is here: what cannot be had now is tried again, later each time.
One run at a time; the oldest that was brought back goes first when there is no room.
"""
from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from robustmq._fastpath.stores.files import LogError
from robustmq._fastpath.stores.remote import Remote
from robustmq.server.blob.blob import Blob, BlobError, BlobMissing
from robustmq.server.tiering.backoff import Backoff, whole
from robustmq.server.tiering.objects import Object
from robustmq.server.tiering.runs import runs_of
from robustmq.server.turns import Turns

PART = 8 << 20
Key = tuple[int, int]               # stream, base offset
logger = logging.getLogger(__name__)


class Recalls:
    """Runs that are wanted, and those that have been brought back."""

    def __init__(self, blob: Blob, remote: Remote, directory: Path, cache_bytes: int, turns: Turns,
                 find: Callable[[int, int], Object | None], tried: Callable[[], object]) -> None:
        """`turns`: with who replaces runs as well. `find`: the object of a stream's run. `tried`: called when a run has
        come, or cannot come now: readers that wait look again, and ask again for what the log had no room to remember.
        """
        self._blob = blob
        self._remote = remote
        self._directory = directory
        self._cache_bytes = cache_bytes
        self._turns = turns
        self._find = find
        self._tried = tried
        self._wanted: dict[Key, None] = {}
        self._lost: set[Key] = set()        # objects that are not what was uploaded
        self._cached: dict[Key, tuple[int, Object]] = {}        # file id here, oldest first
        self._news = asyncio.Event()
        self._arrived: list[asyncio.Future[None]] = []
        self._backoff = Backoff()
        self.problem = ""
        self.recalled = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._cached

    @property
    def cached_bytes(self) -> int:
        """On the local disk, beside what was never released."""
        return sum(item.size for _, item in self._cached.values())

    def adopt(self, stream: int, file: int, item: Object) -> None:
        """A run that an earlier life brought back."""
        self._cached[stream, item.base] = file, item

    def want(self) -> None:
        """Readers have asked for something."""
        for key in self._remote.wants():
            self.bring(*key)

    def bring(self, stream: int, base: int) -> None:
        """Have a run brought back."""
        if (stream, base) not in self._lost:
            self._wanted.setdefault((stream, base))
            self._news.set()

    async def arrival(self) -> None:
        """Until something has come, or will not."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived.append(future)
        await future

    async def run(self) -> None:
        """Bring back what is wanted, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._wanted:
                key = next(iter(self._wanted))
                del self._wanted[key]
                try:
                    await self._recall(*key)
                except (BlobError, LogError, OSError) as error:
                    self._failed(key, error)
                    if key not in self._lost:
                        self._wanted[key] = None        # behind the others
                        await self._backoff.wait()
                else:
                    self._backoff.reset()
                    self.problem = "" if not self._lost else self.problem
                    self._tell()

    def _failed(self, key: Key, error: Exception) -> None:
        self.problem = str(error)
        logger.warning("tiering: a run cannot be brought back: %s", error, extra={"stream": key[0], "offset": key[1]})
        if isinstance(error, BlobMissing):
            self._lost.add(key)
        self._tell()

    def _tell(self) -> None:
        self._tried()
        for future in self._arrived:
            if not future.done():
                future.set_result(None)
        self._arrived.clear()

    async def _recall(self, stream: int, base: int) -> None:
        item, rows = self._find(stream, base), [run for run in runs_of(self._remote, stream) if run.base == base]
        if any(not run.elsewhere for run in rows) or (not rows and item is None):
            return                                  # it is here, or retention has deleted it
        if item is None:
            raise BlobMissing(f"{self._blob.url}: meta.sqlite knows of no object with offset {base} of stream "
                              f"{stream}; restore it from the backup that sealed/ is of, then restart the broker")
        await self._make_room(item.size)
        path = self._directory / f"recall-{stream:x}-{base:x}.writing"
        try:
            await self._download(item, path)
            async with self._turns.take({stream}):
                file = await whole(self._remote.recall, path, stream, item.base, item.end)
        except ValueError:
            self._lost.add((stream, base))
            raise BlobError(f"{self._blob.url}: object {item.key} is not what was uploaded; restore it there from a "
                            "copy, then restart the broker") from None
        finally:
            remove(path)
        self._cached[stream, base] = file, item
        self.recalled += 1

    async def _make_room(self, size: int) -> None:
        out = []
        while self._cached and self.cached_bytes + size > self._cache_bytes:
            (stream, base), (file, item) = next(iter(self._cached.items()))
            del self._cached[stream, base]
            out.append((stream, base, file, item.file))
        if out:
            async with self._turns.take({stream for stream, *_ in out}):
                await whole(self._remote.release, out)

    async def _download(self, item: Object, path: Path) -> None:
        remove(path)
        for at in range(0, item.size, PART):
            part = await self._blob.get_range(item.key, at, min(PART, item.size - at))
            await asyncio.to_thread(append, path, part)


def remove(path: Path) -> None:
    """When it is there."""
    path.unlink(missing_ok=True)


def append(path: Path, data: bytes) -> None:
    """To the end of a file."""
    with path.open("ab") as file:
        file.write(data)
