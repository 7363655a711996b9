"""What only the SQLite store has: files of others, and of the future."""
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
