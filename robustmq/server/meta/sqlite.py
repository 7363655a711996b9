"""The MetaStore in this process: SQLite, every commit synced.

One worker thread owns the connection, so a commit (one fsync of the write-ahead file, 0.25 ms measured; with SQLite's
rollback journal 0.8 ms) never holds up the event loop. Changes are remembered for the last HISTORY revisions.

After an error of the disk the store takes no further changes until it is opened again, as the log does. Reads go on.
"""
from __future__ import annotations

import asyncio
import errno
import logging
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from robustmq.server.health import META_READ_ONLY
from robustmq.server.meta.leases import Deadlines
from robustmq.server.meta.store import (
    Change,
    Committed,
    Compacted,
    Compare,
    Event,
    KeyValue,
    LeaseGone,
    MetaError,
    MetaStore,
    Put,
    Snapshot,
)

HISTORY = 10_000            # revisions that a watch can go back
WATCH_CHUNK = 1_000         # changes that a watcher holds in memory at most
APPLICATION = 0x524D5131    # "RMQ1": SQLite's application_id of our files
FORMAT = 1                  # SQLite's user_version
SCHEMA = """
CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB NOT NULL, create_revision INTEGER NOT NULL,
                 mod_revision INTEGER NOT NULL, lease INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX kv_lease ON kv (lease) WHERE lease != 0;
CREATE TABLE history (revision INTEGER NOT NULL, key BLOB NOT NULL, value BLOB,
                      PRIMARY KEY (revision, key)) WITHOUT ROWID;
CREATE TABLE lease (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_ms INTEGER NOT NULL);
CREATE TABLE state (revision INTEGER NOT NULL, compacted INTEGER NOT NULL);
INSERT INTO state VALUES (0, 0);
"""
# Primary result codes that are the disk's. SQLite reports ENOSPC of a write as FULL, all else, also EROFS and EDQUOT,
# as IOERR.
DISK = {
    sqlite3.SQLITE_FULL: "full", sqlite3.SQLITE_IOERR: "failed", sqlite3.SQLITE_READONLY: "failed",
    sqlite3.SQLITE_CANTOPEN: "failed", sqlite3.SQLITE_CORRUPT: "failed", sqlite3.SQLITE_NOTADB: "failed",
}
# Extended ones behind which there may be a quota.
WRITES = {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE}
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PROBE_BYTES = 64 << 10
Result = TypeVar("Result")
log = logging.getLogger(__name__)


def bounds(prefix: str) -> tuple[bytes, bytes]:
    """First key with the prefix, and the first key after all of them (UTF-8 has no byte 0xFF)."""
    raw = prefix.encode()
    return raw, raw[:-1] + bytes([raw[-1] + 1]) if raw else b"\xff"


def no_room(directory: Path) -> bool:
    """Whether a new file there gets no blocks."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".meta-", suffix=".probe") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, PROBE_BYTES)
            else:
                file.write(bytes(PROBE_BYTES))
                file.flush()
    except OSError as error:
        return error.errno in NO_ROOM
    return False


def connect(path: Path | None) -> sqlite3.Connection:
    """Open or make the database; None: in memory, for a broker that keeps nothing. MetaError."""
    try:
        database = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=1)
        (found,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and found != APPLICATION:
            raise MetaError(f"{path} is not a metadata store of this broker")
        if version > FORMAT:
            raise MetaError(f"{path} has format {version}; this broker understands {FORMAT}: use a newer broker")
        database.execute("PRAGMA journal_mode = WAL").fetchone()
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA fullfsync = ON")       # macOS: fsync ends at the disk's own memory there
        if not tables:
            database.executescript(f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
                                   f"{SCHEMA} COMMIT;")
    except sqlite3.Error as error:
        raise MetaError(f"{path}: {error}") from error
    return database


class SqliteStore(MetaStore):
    """The store; `await SqliteStore.open(path)`."""

    def __init__(self, database: sqlite3.Connection, path: Path | None) -> None:
        self._database = database
        self._path = path
        self._worker = ThreadPoolExecutor(1, "robustmq-meta")
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()     # replaced at each change: whoever waits on the old one looks again
        self._closed = False
        self._health = "ok"                 # set once, by the worker thread
        self._tasks: set[asyncio.Task[None]] = set()
        self._deadlines = Deadlines(self._on_deadline)

    @classmethod
    async def open(cls, path: Path | None) -> SqliteStore:
        """Open the file (None: memory only). Leases of an earlier run get their full time again. MetaError."""
        store = cls(connect(path), path)
        leases = await store._run(lambda: store._database.execute("SELECT id, ttl_ms FROM lease").fetchall())
        for lease, ttl_ms in leases:
            store._deadlines.set(lease, ttl_ms)
        return store

    async def get(self, key: str) -> KeyValue | None:
        query = "SELECT key, value, create_revision, mod_revision, lease FROM kv WHERE key = ?"
        row = await self._run(lambda: self._database.execute(query, (key.encode(),)).fetchone())
        return None if row is None else KeyValue(row[0].decode(), *row[1:])

    async def range(self, prefix: str, limit: int = 0) -> Snapshot:
        return await self._run(lambda: self._range(prefix, limit))

    async def txn(self, compares: Sequence[Compare], then: Sequence[Change],
                  otherwise: Sequence[Change] = ()) -> Committed:
        for changes in (then, otherwise):
            if len({change.key for change in changes}) < len(changes):
                raise ValueError("a key is changed twice in one transaction")
        committed, changed = await self._change(lambda: self._commit(compares, then, otherwise))
        if changed:
            self._wake()
        return committed

    async def watch(self, prefix: str, revision: int) -> AsyncIterator[Event]:
        while not self._closed:
            changed = self._changed
            events, revision = await self._run(lambda start=revision: self._history(prefix, start))  # type: ignore[misc]
            for event in events:
                yield event
            if not events:
                await changed.wait()

    async def grant(self, ttl_ms: int) -> int:
        def insert() -> int:
            row = self._database.execute("INSERT INTO lease (ttl_ms) VALUES (?) RETURNING id", (ttl_ms,)).fetchone()
            return int(row[0])

        lease = await self._change(insert)
        self._deadlines.set(lease, ttl_ms)
        return lease

    async def keep_alive(self, lease: int) -> None:
        row = await self._run(
            lambda: self._database.execute("SELECT ttl_ms FROM lease WHERE id = ?", (lease,)).fetchone())
        if row is None or lease not in self._deadlines:
            raise LeaseGone(f"lease {lease} has ended")
        self._deadlines.set(lease, row[0])

    async def revoke(self, lease: int) -> None:
        self._deadlines.drop(lease)
        if await self._change(lambda: self._end_lease(lease)):
            self._wake()

    def health(self) -> str:
        return self._health

    async def close(self) -> None:
        if self._closed:
            return
        self._deadlines.close()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._run(self._database.close)
        self._closed = True
        self._worker.shutdown()
        self._wake()

    # On the event loop

    async def _run(self, work: Callable[[], Result]) -> Result:
        """Do `work` in the worker thread. MetaError."""
        if self._closed:
            raise MetaError("the metadata store is closed")
        return await self._loop.run_in_executor(self._worker, self._guarded, work)

    async def _change(self, work: Callable[[], Result]) -> Result:
        """The same for what writes: after an error of the disk nothing is written, nor what is queued behind it."""
        return await self._run(lambda: self._unless_read_only(work))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _on_deadline(self, lease: int) -> None:
        task = self._loop.create_task(self._expire(lease))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _expire(self, lease: int) -> None:
        with suppress(MetaError):           # health() says why; at the next start the lease gets its time again
            await self.revoke(lease)

    # In the worker thread

    def _guarded(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            health = DISK.get(code & 0xFF)
            if health is not None and self._health == "ok":
                if code in WRITES and self._path is not None and no_room(self._path.parent):
                    health = "full"
                self._health = health
                log.error(META_READ_ONLY[health], extra={"error": str(error)})
            raise MetaError(f"the metadata store failed: {error}") from error

    def _unless_read_only(self, work: Callable[[], Result]) -> Result:
        if self._health != "ok":
            raise MetaError(META_READ_ONLY[self._health])
        return work()

    def _range(self, prefix: str, limit: int) -> Snapshot:
        rows = self._database.execute(
            "SELECT key, value, create_revision, mod_revision, lease FROM kv WHERE key >= ? AND key < ? ORDER BY key "
            "LIMIT ?", (*bounds(prefix), limit or -1)).fetchall()
        return Snapshot(self._revision(), tuple(KeyValue(row[0].decode(), *row[1:]) for row in rows))

    def _revision(self) -> int:
        return int(self._database.execute("SELECT revision FROM state").fetchone()[0])

    def _history(self, prefix: str, revision: int) -> tuple[list[Event], int]:
        """Changes from `revision` on, whole revisions only, and the revision to go on from."""
        (compacted,) = self._database.execute("SELECT compacted FROM state").fetchone()
        if revision <= compacted:
            raise Compacted(f"no watch from revision {revision}: changes up to {compacted} are forgotten")
        rows = self._database.execute(
            "SELECT key, value, revision FROM history WHERE revision >= ? AND key >= ? AND key < ? "
            "ORDER BY revision, key LIMIT ?", (revision, *bounds(prefix), WATCH_CHUNK)).fetchall()
        if not rows:
            return [], max(revision, self._revision() + 1)
        if len(rows) == WATCH_CHUNK and rows[0][2] != rows[-1][2]:
            rows = [row for row in rows if row[2] != rows[-1][2]]
        elif len(rows) == WATCH_CHUNK:
            rows = self._database.execute(
                "SELECT key, value, revision FROM history WHERE revision = ? AND key >= ? AND key < ? ORDER BY key",
                (rows[0][2], *bounds(prefix))).fetchall()
        return [Event(key.decode(), value, at) for key, value, at in rows], rows[-1][2] + 1

    def _commit(self, compares: Sequence[Compare], then: Sequence[Change],
                otherwise: Sequence[Change]) -> tuple[Committed, bool]:
        with Transaction(self._database):
            holds = all(self._mod_revision(compare.key) == compare.mod_revision for compare in compares)
            revision = self._revision()
            changed = self._apply(then if holds else otherwise, revision + 1)
            return Committed(holds, revision + changed), changed

    def _mod_revision(self, key: str) -> int:
        row = self._database.execute("SELECT mod_revision FROM kv WHERE key = ?", (key.encode(),)).fetchone()
        return 0 if row is None else int(row[0])

    def _apply(self, changes: Sequence[Change], revision: int) -> bool:
        """Write the changes as `revision`; whether there was one."""
        done = 0
        for change in changes:
            key = change.key.encode()
            if isinstance(change, Put):
                if change.lease and not self._database.execute(
                        "SELECT 1 FROM lease WHERE id = ?", (change.lease,)).fetchone():
                    raise LeaseGone(f"lease {change.lease} has ended")
                self._database.execute(
                    "INSERT INTO kv VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, "
                    "mod_revision = excluded.mod_revision, lease = excluded.lease",
                    (key, change.value, revision, revision, change.lease))
                self._database.execute("INSERT INTO history VALUES (?, ?, ?)", (revision, key, change.value))
                done += 1
            elif self._database.execute("DELETE FROM kv WHERE key = ?", (key,)).rowcount:
                self._database.execute("INSERT INTO history VALUES (?, ?, NULL)", (revision, key))
                done += 1
        if done:
            self._database.execute("UPDATE state SET revision = ?", (revision,))
            self._forget(revision - HISTORY)
        return done > 0

    def _forget(self, revision: int) -> None:
        """Forget changes up to `revision`, a tenth of the history at a time."""
        if revision > 0 and revision % (HISTORY // 10) == 0:
            self._database.execute("DELETE FROM history WHERE revision <= ?", (revision,))
            self._database.execute("UPDATE state SET compacted = ?", (revision,))

    def _end_lease(self, lease: int) -> bool:
        with Transaction(self._database):
            rows = self._database.execute("SELECT key FROM kv WHERE lease = ?", (lease,)).fetchall()
            revision = self._revision() + 1
            for (key,) in rows:
                self._database.execute("DELETE FROM kv WHERE key = ?", (key,))
                self._database.execute("INSERT INTO history VALUES (?, ?, NULL)", (revision, key))
            if rows:
                self._database.execute("UPDATE state SET revision = ?", (revision,))
            self._database.execute("DELETE FROM lease WHERE id = ?", (lease,))
            return bool(rows)


class Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK when one of them raises and SQLite has not done so itself."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
