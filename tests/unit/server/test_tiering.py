"""Tiering: what goes to the blob store, what leaves the local disk, what comes back, and what a crash leaves."""
from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from robustmq._fastpath.broker.topic import Topics

from robustmq._fastpath.stores.files import Elsewhere
from robustmq.server.blob.blob import BlobError, Data, Item
from robustmq.server.blob.directory import Directory
from robustmq.server.meta.sqlite import SqliteStore
from robustmq.server.tiering.objects import Objects
from robustmq.server.tiering.runs import runs_of
from robustmq.server.tiering.tier import Tier
from robustmq.server.topics import TopicAdmin
from robustmq.server.turns import Turns
from tests.batches import batch, values
from tests.logs import open_log
from tests.unit.test_merge import merge

MIB = 1 << 20
NOW = time.time_ns() // 10**6
REMOTE = {"remote.storage.enable": "true", "local.retention.ms": "0"}
BATCHES, SIZE = 20, 50_000


class Moody(Directory):
    """A store that is sometimes not there, or loses the answer to a put."""

    down = False
    deaf = False

    def _put(self, key: str, data: Data) -> None:
        self._mood()
        super()._put(key, data)
        if self.deaf:
            raise OSError("the answer was lost")

    def _get_range(self, key: str, offset: int, length: int) -> bytes:
        self._mood()
        return super()._get_range(key, offset, length)

    def _mood(self) -> None:
        if self.down:
            raise OSError("nobody is there")


class World:
    """A broker's log with tiering, without a broker; `async with` opens and closes it."""

    def __init__(self, path: Path, cache_bytes: int = 64 * MIB) -> None:
        self.path, self.cache_bytes = path, cache_bytes
        self.blob = Moody(f"file://{path}/blob", path / "blob", 5)

    async def __aenter__(self) -> World:
        self.log = open_log(self.path / "data")
        self.meta = await SqliteStore.open(self.path / "meta.sqlite")
        self.topics = Topics(self.log, durability="process")
        self.admin = TopicAdmin(self.topics, self.log, self.meta, {})
        await self.admin.open()
        self.tier = Tier(self.blob, self.log, Objects(self.meta, self.admin), self.admin, cluster="c",
                         directory=self.path / "data" / "sealed", cache_bytes=self.cache_bytes, interval_ms=10**8,
                         turns=Turns(), tried=lambda: None)
        await self.tier.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.tier.close()
        await self.meta.close()
        self.log.close()

    async def topic(self, configs: Mapping[str, str], name: str = "t") -> int:
        """Its stream."""
        return (await self.admin.create(name, 1, configs, explicit=True)).streams[0]

    def fill(self, stream: int, timestamp: int = NOW - 1000) -> None:
        """One sealed run of a MiB."""
        part = self.log.partition(stream)
        for i in range(BATCHES):
            part.append(batch([b"%d." % i + b"x" * SIZE], timestamp=timestamp))
        self.log.seal()

    def where(self, stream: int) -> str:
        """A letter for each run: Here or Elsewhere."""
        return "".join("E" if run.elsewhere else "H" for run in runs_of(self.tier._remote, stream))

    def objects(self) -> list[str]:
        return sorted(path.name for path in (self.path / "blob").rglob("*.sealed"))

    def read(self, stream: int, offset: int) -> bytes:
        return bytes(self.log.partition(stream).read(offset, 1))

    async def fetch(self, stream: int, offset: int) -> bytes:
        """Read, and wait for what is not here."""
        async with asyncio.timeout(20):
            while True:
                try:
                    return self.read(stream, offset)
                except Elsewhere:
                    await self.tier.recalls.arrival()


Scenario = Callable[[World], Awaitable[None]]


def play(world: World, *lives: Scenario) -> None:
    """Each life on a log that was opened again."""
    async def run() -> None:
        for life in lives:
            async with asyncio.timeout(60), world:
                await life(world)
    asyncio.run(run())


def check(found: bytes, offset: int) -> None:
    (at, value), *_ = values(found)
    assert at == offset and value.startswith(b"%d." % (offset % BATCHES))


def test_a_run_goes_and_comes_back(tmp_path: Path) -> None:
    stream = 0

    async def goes(world: World) -> None:
        nonlocal stream
        stream = await world.topic(REMOTE)
        for _ in range(3):
            world.fill(stream)
        assert world.where(stream) == "HHH" and world.objects() == []
        await world.tier.do_pass()
        assert world.where(stream) == "EEE" and len(world.objects()) == 3
        with pytest.raises(Elsewhere):
            world.read(stream, 25)
        check(await world.fetch(stream, 25), 25)
        assert world.where(stream) == "EHE" and world.tier.recalls.cached_bytes > MIB // 2
        for offset in range(3 * BATCHES):
            check(await world.fetch(stream, offset), offset)
        await world.tier.do_pass()
        assert world.where(stream) == "HHH", "what was brought back stays while there is room"

    async def still(world: World) -> None:
        assert world.where(stream) == "HHH" and world.tier.recalls.cached_bytes > 2 * MIB
        await world.tier.do_pass()
        assert (world.tier.uploaded, world.tier.released, len(world.objects())) == (0, 0, 3)
        check(world.read(stream, 0), 0)
    play(World(tmp_path), goes, still)


def test_what_was_released_is_elsewhere_after_a_restart(tmp_path: Path) -> None:
    async def goes(world: World) -> None:
        world.fill(await world.topic(REMOTE))
        await world.tier.do_pass()

    async def comes(world: World) -> None:
        found = world.admin.find("t")
        assert found is not None
        stream = found.streams[0]
        assert world.where(stream) == "E" and world.log.partition(stream).end == BATCHES
        assert sum(path.stat().st_size for path in (tmp_path / "data" / "sealed").iterdir()) < 4096
        world.fill(stream)
        check(await world.fetch(stream, 7), 7)
        check(world.read(stream, BATCHES + 3), BATCHES + 3)
    play(World(tmp_path), goes, comes)


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stream = await world.topic(REMOTE)
        for _ in range(4):
            world.fill(stream)
        await world.tier.do_pass()
        for offset in range(4 * BATCHES):
            check(await world.fetch(stream, offset), offset)
        assert world.where(stream) == "EEHH"
        assert world.tier.recalls.cached_bytes <= world.cache_bytes
        check(await world.fetch(stream, 0), 0)
        assert world.where(stream) == "HEEH"
    play(World(tmp_path, cache_bytes=5 * MIB // 2), scenario)


def test_only_what_is_told_to_goes(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        plain = await world.topic({}, "plain")
        stays = await world.topic({"remote.storage.enable": "true"}, "stays")
        bounded = await world.topic({"remote.storage.enable": "true", "local.retention.bytes": "1500000"}, "bounded")
        for _ in range(3):
            for stream in (plain, stays, bounded):
                world.fill(stream)
        await world.tier.do_pass()
        assert [world.where(stream) for stream in (plain, stays, bounded)] == ["HHH", "HHH", "EHH"]
        assert len(world.objects()) == 6
    play(World(tmp_path), scenario)


def test_retention_deletes_the_object(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stream = await world.topic({**REMOTE, "retention.ms": "3600000"})
        world.fill(stream, NOW - 7_200_000)
        world.fill(stream)
        await world.tier.do_pass()
        assert world.where(stream) == "EE" and len(world.objects()) == 2
        world.log.retain(NOW)
        await world.tier.do_pass()
        assert world.where(stream) == "E" and len(world.objects()) == 1 and world.log.partition(stream).start == BATCHES
        await world.admin.delete("t")
        await world.tier.do_pass()
        assert world.objects() == [] and len(world.tier.objects) == 0
    play(World(tmp_path), scenario)


def test_without_the_store_nothing_is_lost_and_nothing_waits(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stream = await world.topic(REMOTE)
        world.fill(stream)
        await world.tier.do_pass()
        world.blob.down = True
        world.fill(stream)
        with pytest.raises(BlobError):
            await world.tier.do_pass()
        assert world.where(stream) == "EH"
        check(world.read(stream, BATCHES), BATCHES)
        with pytest.raises(Elsewhere):
            world.read(stream, 0)
        await world.tier.recalls.arrival()
        assert "nobody is there" in world.tier.problem
        world.blob.down = False
        check(await world.fetch(stream, 0), 0)
        await world.tier.do_pass()
        assert world.tier.problem == "" and world.where(stream) == "HE"
    play(World(tmp_path), scenario)


def test_an_answer_that_was_lost(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stream = await world.topic(REMOTE)
        world.fill(stream)
        await world.tier.do_pass()
        world.fill(stream)
        world.blob.deaf = True
        with pytest.raises(BlobError):
            await world.tier.do_pass()
        world.blob.deaf = False
        await world.tier.do_pass()
        assert world.where(stream) == "EE" and len(world.objects()) == 2
    play(World(tmp_path), scenario)


def test_an_object_of_somebody_else_is_not_ours(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stream = await world.topic(REMOTE)
        await world.tier.do_pass()
        world.fill(stream)
        run = runs_of(world.tier._remote, stream)[0]
        topic = world.admin.find("t")
        assert topic is not None
        await world.blob.put(f"c/{topic.id.hex()}/0/{0:016x}-{run.file:016x}.sealed", b"theirs" * 100)
        with pytest.raises(BlobError, match="another broker"):
            await world.tier.do_pass()
        assert world.where(stream) == "H"
    play(World(tmp_path), scenario)


def test_a_pass_waits_for_the_one_before(tmp_path: Path) -> None:
    """A sweep that lists while another pass uploads would delete what that has put and not yet noted."""
    async def scenario(world: World) -> None:
        stream = await world.topic(REMOTE)
        await world.tier.do_pass()
        world.fill(stream)
        listed, go_on = asyncio.Event(), asyncio.Event()
        real = world.blob.list

        async def slow_list(prefix: str) -> list[Item]:
            listed.set()
            await go_on.wait()
            return await real(prefix)

        world.blob.list = slow_list         # type: ignore[method-assign]
        world.tier._swept = False
        sweeping = asyncio.create_task(world.tier.do_pass())
        await listed.wait()
        world.tier._swept = True
        other = asyncio.create_task(world.tier.do_pass())
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(other), 0.2)
        go_on.set()
        await asyncio.gather(sweeping, other)
        assert world.where(stream) == "E" and len(world.objects()) == 1
        check(await world.fetch(stream, 0), 0)
    play(World(tmp_path), scenario)


def test_an_upload_that_nobody_knows_of_is_deleted(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.blob.put("c/00/0/1-1.sealed", b"orphan")
        await world.blob.put("other/00/0/1-1.sealed", b"another cluster's")
        world.tier._swept = False
        await world.tier.do_pass()
        assert [item.key for item in await world.blob.list("")] == ["other/00/0/1-1.sealed"]
    play(World(tmp_path), scenario)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_an_object_that_is_not_what_was_uploaded(tmp_path: Path, damage: str) -> None:
    async def scenario(world: World) -> None:
        stream = await world.topic(REMOTE)
        world.fill(stream)
        await world.tier.do_pass()
        [path] = (tmp_path / "blob").rglob("*.sealed")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(data if damage == "flip" else data[:-5000])
        with pytest.raises(Elsewhere):
            world.read(stream, 0)
        await world.tier.recalls.arrival()
        assert world.tier.problem and world.where(stream) == "E"
        with pytest.raises(Elsewhere):
            world.read(stream, 0)
    play(World(tmp_path), scenario)


def test_rows_of_what_is_elsewhere_share_a_file_after_a_while(tmp_path: Path) -> None:
    async def goes(world: World) -> None:
        stream = await world.topic({"remote.storage.enable": "true", "local.retention.ms": "0"})
        for i in range(9):
            world.fill(stream)
            await world.tier.do_pass()
            assert world.where(stream) == "E" * (i + 1)
        assert len(world.log.sealed()) == 9
        assert merge(world.log) > 0
        assert len(world.log.sealed()) == 1 and world.where(stream) == "E" * 9
        check(await world.fetch(stream, 4 * BATCHES), 4 * BATCHES)
        assert world.where(stream) == "EEEEHEEEE"

    async def comes_back(world: World) -> None:
        found = world.admin.find("t")
        assert found is not None
        assert world.where(found.streams[0]) == "EEEEHEEEE"
        for i in range(9):
            check(await world.fetch(found.streams[0], i * BATCHES), i * BATCHES)
    play(World(tmp_path), goes, comes_back)


def test_a_row_that_is_damaged_comes_back(tmp_path: Path) -> None:
    async def goes(world: World) -> None:
        stream = await world.topic({"remote.storage.enable": "true"})
        for _ in range(3):
            world.fill(stream)
        await world.tier.do_pass()
        middle = runs_of(world.tier._remote, stream)[1]
        world.tier._remote.release([(stream, middle.base, middle.file, middle.file)])
        assert world.where(stream) == "HEH"

    async def damaged(world: World) -> None:
        found = world.admin.find("t")
        assert found is not None
        stream = found.streams[0]
        async with asyncio.timeout(20):
            await world.tier.recalls.arrival()
        assert world.where(stream) == "HHH"
        for offset in range(3 * BATCHES):
            check(world.read(stream, offset), offset)
    world = World(tmp_path)
    play(world, goes)
    spoil(next(path for path in (tmp_path / "data" / "sealed").glob("*.sealed") if path.stat().st_size < 4096))
    play(world, damaged)


def spoil(path: Path) -> None:
    """Damage the directory of a file without records."""
    data = bytearray(path.read_bytes())
    data[80] ^= 1
    path.write_bytes(data)


def test_a_local_copy_that_is_lost_keeps_the_objects(tmp_path: Path) -> None:
    async def goes(world: World) -> None:
        stream = await world.topic(REMOTE)
        world.fill(stream)
        world.fill(stream)
        await world.tier.do_pass()

    async def damaged(world: World) -> None:
        await world.tier.do_pass()
        assert len(world.objects()) == 2
    world = World(tmp_path)
    play(world, goes)
    for path in (tmp_path / "data" / "sealed").glob("*.sealed"):
        spoil(path)
    play(world, damaged)
