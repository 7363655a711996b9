"""What only the SQLite store has: files of others, and of the future; a disk that is full."""
import asyncio
import sqlite3
from pathlib import Path

import pytest

from robustmq.server.meta.sqlite import SqliteStore
from robustmq.server.meta.store import MetaError


@pytest.mark.parametrize(("prepare", "says"), [
    (lambda path: path.write_bytes(b"not a database" * 100), "not a database"),
    (lambda path: sqlite3.connect(path).executescript("CREATE TABLE t (x)"), "not a metadata store"),
    (lambda path: path.mkdir(), "unable to open"),
])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, prepare: object, says: str) -> None:
    path = tmp_path / "meta.sqlite"
    assert callable(prepare)
    prepare(path)
    with pytest.raises(MetaError, match=says):
        asyncio.run(SqliteStore.open(path))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "meta.sqlite"

    async def make() -> None:
        await (await SqliteStore.open(path)).close()

    asyncio.run(make())
    sqlite3.connect(path).execute("PRAGMA user_version = 9")
    with pytest.raises(MetaError, match="newer"):
        asyncio.run(SqliteStore.open(path))


def test_a_full_disk_makes_it_read_only_until_it_is_opened_again(tmp_path: Path,
                                                                 caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "meta.sqlite"

    async def fill() -> None:
        store = await SqliteStore.open(path)
        await store.put("before", b"1")
        assert store.health() == "ok"
        (pages,) = store._database.execute("PRAGMA page_count").fetchone()
        store._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(MetaError, match="full"):
            await store.put("large", bytes(1 << 20))
        assert store.health() == "full"
        store._database.execute("PRAGMA max_page_count = 1000000")
        for change in (store.put("small", b"1"), store.delete("before"), store.grant(1000)):
            with pytest.raises(MetaError, match=r"read-only.*restart"):
                await change
        assert (await store.range("")).revision == 1, "reads go on, nothing has changed"
        await store.close()

    async def look() -> None:
        store = await SqliteStore.open(path)
        assert [item.key for item in (await store.range("")).keys] == ["before"] and store.health() == "ok"
        assert await store.put("small", b"1") == 2
        await store.close()

    asyncio.run(fill())
    assert [record.levelname for record in caplog.records if "read-only" in record.message] == ["ERROR"]
    asyncio.run(look())


def test_what_is_queued_behind_an_error_is_refused_and_leases_stay(tmp_path: Path) -> None:
    path = tmp_path / "meta.sqlite"

    async def scenario() -> None:
        store = await SqliteStore.open(path)
        lease = await store.grant(60_000)
        await store.put("leased", b"1", lease)
        (pages,) = store._database.execute("PRAGMA page_count").fetchone()
        store._database.execute(f"PRAGMA max_page_count = {pages}")
        results = await asyncio.gather(store.put("large", bytes(1 << 20)), store.put("small", b"1"),
                                       return_exceptions=True)
        assert [type(result) for result in results] == [MetaError, MetaError]
        await store._expire(lease)
        assert await store.get("leased") is not None and await store.get("small") is None
        await store.close()

    asyncio.run(scenario())
