"""Numbers that are given out once."""
import asyncio
from pathlib import Path

from robustmq._fastpath.stores.log import Log

from robustmq.server.identity import BLOCK, ProducerIds, cluster_id
from robustmq.server.meta.sqlite import SqliteStore
from robustmq.server.state import Space, StateLog


def test_the_cluster_keeps_its_id(tmp_path: Path) -> None:
    async def start(configured: str) -> str:
        store = await SqliteStore.open(tmp_path / "meta.sqlite")
        try:
            return await cluster_id(store, configured)
        finally:
            await store.close()
    first = asyncio.run(start(""))
    assert len(first) == 22 and asyncio.run(start("")) == first
    assert asyncio.run(start("mine")) == "mine"


def test_producer_ids_are_never_given_out_twice(tmp_path: Path) -> None:
    async def take(count: int) -> list[int]:
        store, log = await SqliteStore.open(tmp_path / "meta.sqlite"), Log(tmp_path / "log", segment_bytes=1 << 20)
        state = StateLog(log, Space.DIRECTORY)
        ids = [ProducerIds(store, state), ProducerIds(store, state)]      # two tasks of one broker
        try:
            return list(await asyncio.gather(*(ids[n % 2].next() for n in range(count))))
        finally:
            await store.close()
            log.close()
    before, after = asyncio.run(take(3 * BLOCK)), asyncio.run(take(10))
    assert len({*before, *after}) == 3 * BLOCK + 10
    (tmp_path / "meta.sqlite").unlink()             # an older MetaStore, or none, gives nothing out again
    assert not {*before, *after} & {*asyncio.run(take(10))}
