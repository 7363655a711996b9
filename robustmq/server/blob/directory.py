"""A directory as a blob store: a hard link gives an object its name, and fails where there is one of that name.

    ROOT/KEY            an object
    ROOT/.writing/…     being written; files that a crash has left there go with the first `put` a day later
"""
from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path

from robustmq.server.blob.blob import Blob, BlobError, BlobExists, BlobMissing, Data, Item

WRITING = ".writing"
LEFT_S = 86_400
CHUNK = 1 << 20


class Directory(Blob):
    """Objects below `root`."""

    def __init__(self, url: str, root: Path, timeout_s: float) -> None:
        super().__init__(url, timeout_s)
        self._root = root
        self._swept = False

    def _put(self, key: str, data: Data) -> None:
        final = self._root / key
        writing = self._root / WRITING
        make_durable(writing)
        if not self._swept:
            self._swept = True
            sweep(writing)
        temporary = writing / uuid.uuid4().hex
        try:
            write(temporary, data)
            make_durable(final.parent)
            os.link(temporary, final)
            sync_directory(final.parent)
        except FileExistsError:
            raise BlobExists(f"{self.url} has {key} already") from None
        finally:
            temporary.unlink(missing_ok=True)

    def _get_range(self, key: str, offset: int, length: int) -> bytes:
        try:
            with (self._root / key).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError:
            raise BlobMissing(f"{self.url} has no {key}") from None

    def _head(self, key: str) -> int | None:
        try:
            found = (self._root / key).stat()
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _list(self, prefix: str) -> list[Item]:
        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise error

        found = []
        for place, directories, names in os.walk(self._root / prefix, onerror=refuse):
            directories[:] = [name for name in directories if not name.startswith(".")]
            for name in names:
                path = Path(place, name)
                with suppress(FileNotFoundError):
                    found.append(Item(path.relative_to(self._root).as_posix(), path.stat().st_size))
        return found

    def _delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            (self._root / key).unlink()
            sync_directory((self._root / key).parent)

    def _explained(self, error: Exception) -> BlobError:
        if isinstance(error, OSError):
            what = {errno.ENOSPC: "free space there", errno.EDQUOT: "raise the quota",
                    errno.EACCES: "let this user write there", errno.EROFS: "mount it writable",
                    errno.EPERM: "use a file system with hard links"}.get(error.errno or 0, "see that it is mounted")
            return BlobError(f"{self.url} cannot be used: {error.strerror or error}; {what}")
        return super()._explained(error)


def write(path: Path, data: Data) -> None:
    """A new file with these bytes, synced."""
    with path.open("xb") as file, memoryview(data) as view:
        for at in range(0, len(view), CHUNK):
            file.write(view[at:at + CHUNK])
        file.flush()
        os.fsync(file.fileno())


def make_durable(directory: Path) -> None:
    """The directory, and its parents, with names that survive power loss."""
    if not directory.is_dir():
        make_durable(directory.parent)
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in it durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sweep(writing: Path) -> None:
    """Delete what a crash has left."""
    limit = time.time() - LEFT_S
    for path in writing.iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                path.unlink()
