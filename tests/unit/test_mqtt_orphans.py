"""Messages of a shared group that are only in the blob store when their member's session ends."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from robustmq.server.blob.directory import Directory
from robustmq.server.meta.sqlite import SqliteStore
from robustmq.server.tiering.objects import Objects
from robustmq.server.tiering.tier import Tier
from robustmq.server.topics import TopicAdmin
from robustmq.server.turns import Turns
from tests.unit.mqtt_world import Client, World, publish

FILTER = "$share/g/t"
REMOTE = {"remote.storage.enable": "true", "local.retention.ms": "0"}
MESSAGES = [b"%d." % i + b"x" * 50_000 for i in range(12)]
CACHE = 64 << 20


@asynccontextmanager
async def tiered(path: Path, **limits: int) -> AsyncIterator[tuple[World, Tier]]:
    """A world whose topic `t` leaves the disk when told to."""
    world = World(durability="process", directory=path / "data", limits=limits)
    meta = await SqliteStore.open(path / "meta.sqlite")
    admin = TopicAdmin(world.topics, world.log, meta, {})
    await admin.open()
    tier = Tier(Directory(f"file://{path}/blob", path / "blob", 5), world.log, Objects(meta, admin), admin, cluster="c",
                directory=path / "data" / "sealed", cache_bytes=CACHE, interval_ms=10**8, turns=Turns(),
                tried=world.protocol.wake)
    await tier.open()
    await admin.create("t", 1, REMOTE, explicit=True)
    try:
        yield world, tier
    finally:
        await tier.close()
        await meta.close()
        world.close()


async def left_behind(world: World, tier: Tier) -> Client:
    """A member that is away gets MESSAGES; when its session ends nothing of them is local. The other member."""
    absent = world.connect(b"absent", 5, persistent=True)
    world.subscribe(absent, 1, FILTER)
    absent.link.close()
    writer = world.connect(b"w", 5)
    for i, message in enumerate(MESSAGES):
        writer.send(publish("t", message, 1, i + 1, properties=b""))
    other = world.connect(b"other", 5)
    world.subscribe(other, 1, FILTER)
    world.log.seal()
    await tier.do_pass()
    assert tier.released > 0
    world.end(absent, 0)
    return other


def test_they_go_to_another_member_when_they_have_come(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with tiered(tmp_path) as (world, tier), asyncio.timeout(30):
            other = await left_behind(world, tier)
            assert world.counters()["orphans"] == len(MESSAGES)
            while world.counters()["orphans"]:
                await tier.recalls.arrival()
                world.reactor.run()
            found = [packet for packet in other.read() if packet[0] >> 4 == 3]
            assert [packet[-len(message):] for packet, message in zip(found, MESSAGES, strict=True)] == MESSAGES
            assert world.counters()["dropped_evicted"] == 0
    asyncio.run(scenario())


def test_they_are_bounded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with tiered(tmp_path, max_orphans=5) as (world, tier), asyncio.timeout(30):
            await left_behind(world, tier)
            assert world.counters()["orphans"] == 5
            assert world.counters()["dropped_evicted"] == len(MESSAGES) - 5
    asyncio.run(scenario())
