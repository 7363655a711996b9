"""What a blob store promises.

A key is a relative path of letters, digits and `.`, `_`, `-`; no part of it begins with a dot. An object is written
once and never changes: `put` creates it whole or not at all, and of two writers of one key exactly one succeeds.
Everything that a method returned is durable, as far as the store knows.

Every failure is a BlobError with a sentence that says what to do. Methods belong to one event loop; the libraries below
block, so each call has a thread, at most CALLS_MAX at a time. A call ends within `timeout_s`, one that moves data in
that time for each PART_BYTES.
"""
from __future__ import annotations

import asyncio
import mmap
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

CALLS_MAX = 8
PART_BYTES = 8 << 20
KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
KEY_MAX = 900
Result = TypeVar("Result")
Data = bytes | mmap.mmap


class BlobError(Exception):
    """The store cannot do what was asked. The message says why, and what to do."""


class BlobMissing(BlobError):
    """There is no such object."""


class BlobBroken(BlobError):
    """The store does not keep its word."""


class BlobExists(BlobError):
    """There is an object of that key already; it was not touched."""


@dataclass(frozen=True, slots=True)
class Item:
    """An object of a listing."""

    key: str
    size: int


Items = list[Item]


class Blob(ABC):
    """The interface; a store implements the methods below the line, which block and run in any thread."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self._slots = asyncio.Semaphore(CALLS_MAX)

    async def put(self, key: str, source: Path | bytes) -> None:
        """Create an object from bytes or a file that does not change meanwhile. BlobExists."""
        data = await asyncio.to_thread(content, source)
        await self._call(1 + len(data) // PART_BYTES, self._put, checked(key), data)

    async def get_range(self, key: str, offset: int, length: int) -> bytes:
        """Bytes from `offset` on: `length`, or fewer where the object ends before. BlobMissing."""
        if offset < 0 or length < 0:
            raise ValueError(f"no object has a range of {length} bytes at {offset}")
        return await self._call(1 + length // PART_BYTES, self._get_range, checked(key), offset, length)

    async def head(self, key: str) -> int | None:
        """The object's size; None when there is none."""
        return await self._call(1, self._head, checked(key))

    async def list(self, prefix: str) -> Items:
        """The objects below a `prefix` that ends between two parts of a key ("" for all), in order of keys."""
        found = await self._call(4, self._list, checked(prefix.rstrip("/")) if prefix else "")
        return sorted(found, key=lambda item: item.key)

    async def delete(self, key: str) -> None:
        """Delete an object; one that is not there is no error."""
        await self._call(1, self._delete, checked(key))

    async def _call(self, patience: int, function: Callable[..., Result], *args: object) -> Result:
        """`function` in a thread that nobody waits for longer than `patience` times the timeout."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        try:
            async with asyncio.timeout(self.timeout_s * patience):
                await self._slots.acquire()
                threading.Thread(target=self._run, args=(loop, done, function, args), daemon=True, name="blob").start()
                return await done
        except TimeoutError:
            raise BlobError(f"{self.url} did not answer within {self.timeout_s * patience:g} s; see that the store and "
                            "the network to it are up, or raise tier.timeout_ms") from None

    def _run(self, loop: asyncio.AbstractEventLoop, done: asyncio.Future[Result], function: Callable[..., Result],
             args: tuple[object, ...]) -> None:
        result: Result | None = None
        failure: Exception | None = None
        try:
            result = function(*args)
        except Exception as error:
            failure = error if isinstance(error, BlobError) else self._explained(error)

        def settle() -> None:
            self._slots.release()
            if done.done():
                return
            if failure is not None:
                done.set_exception(failure)
            else:
                done.set_result(result)                                                     # type: ignore[arg-type]

        if not loop.is_closed():
            loop.call_soon_threadsafe(settle)

    def _explained(self, error: Exception) -> BlobError:
        """A failure that the store has no better words for."""
        told = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        return BlobError(f"{self.url} cannot be used: {told}; see that the store is up, that tier.url is right and "
                         "that the credentials allow to read, write, list and delete there")

    # ------------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _put(self, key: str, data: Data) -> None:
        """BlobExists."""

    @abstractmethod
    def _get_range(self, key: str, offset: int, length: int) -> bytes:
        """BlobMissing."""

    @abstractmethod
    def _head(self, key: str) -> int | None:
        """None: there is none."""

    @abstractmethod
    def _list(self, prefix: str) -> Items:
        """In any order; `prefix` without a slash at its end."""

    @abstractmethod
    def _delete(self, key: str) -> None:
        """One that is not there is no error."""


def checked(key: str) -> str:
    """The key, when it is one."""
    if len(key) > KEY_MAX or not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a blob store")
    return key


def content(source: Path | bytes) -> Data:
    """What is to be written; a file is mapped, not read."""
    if isinstance(source, bytes):
        return source
    with source.open("rb") as file:
        empty = source.stat().st_size == 0
        return b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
