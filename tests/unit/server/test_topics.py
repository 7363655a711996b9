"""Topics and their configuration: in the MetaStore, in the data plane, and after a restart."""
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from robustmq._fastpath.broker.cleaner import clean
from robustmq._fastpath.broker.topic import Topics
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.needs import KafkaError
from robustmq.server.meta.sqlite import SqliteStore
from robustmq.server.topics import TopicAdmin
from tests.keyed import NOW, everything, keyed


class World:
    """A log, a MetaStore and the topics in them; `async with` opens and closes them."""

    def __init__(self, path: Path, settings: Mapping[str, str]) -> None:
        self.path, self.settings = path, settings

    async def __aenter__(self) -> World:
        self.log = Log(self.path, segment_bytes=1 << 20, journal_bytes=16 << 20)
        self.meta = await SqliteStore.open(self.path / "meta.sqlite")
        self.topics = Topics(self.log, durability="process")
        self.admin = TopicAdmin(self.topics, self.log, self.meta, self.settings)
        await self.admin.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.meta.close()
        self.log.close()

    def data_plane(self, name: str) -> tuple[bool, int]:
        """Whether the topic is compacted, and its largest batch."""
        found = self.topics.find(name)
        assert found is not None
        return found["compacted"], found["max_message_bytes"]


def test_a_change_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = {"message.max.bytes": "5000"}
        async with World(tmp_path, settings) as world:
            await world.admin.create("t", 2, {"cleanup.policy": "compact"}, explicit=True)
            assert world.data_plane("t") == (True, 5000)
            await world.admin.alter("t", lambda configs: {**configs, "max.message.bytes": "700"})
            assert world.data_plane("t") == (True, 700)
            await world.admin.alter("t", lambda configs: {"cleanup.policy": "delete,compact"})
            assert world.data_plane("t") == (True, 5000)
            await world.admin.alter("t", lambda _: {"retention.ms": "1"})
            assert world.data_plane("t") == (False, 5000)
        async with World(tmp_path, settings) as world:
            assert world.admin.configs("t") == {"retention.ms": "1"}
            assert world.data_plane("t") == (False, 5000)

    asyncio.run(scenario())


def test_a_topic_that_appeared_by_itself_is_configured(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with World(tmp_path, {}) as world:
            world.topics.create("mqtt.topic")
            before = world.admin.find("mqtt.topic")
            await world.admin.alter("mqtt.topic", lambda _: {"cleanup.policy": "compact"})
        async with World(tmp_path, {}) as world:
            assert world.admin.find("mqtt.topic") == before
            assert world.data_plane("mqtt.topic")[0]

    asyncio.run(scenario())


def test_a_change_that_is_refused_leaves_no_trace(tmp_path: Path) -> None:
    def refuse(configs: Mapping[str, str]) -> Mapping[str, str]:
        raise KafkaError(ErrorCode.INVALID_CONFIG, "no")

    async def scenario() -> None:
        async with World(tmp_path, {}) as world:
            await world.admin.create("t", 1, {"retention.ms": "5"}, explicit=True)
            for name, code in (("t", ErrorCode.INVALID_CONFIG), ("nowhere", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)):
                with pytest.raises(KafkaError) as error:
                    await world.admin.alter(name, refuse)
                assert error.value.code == code
            assert world.admin.configs("t") == {"retention.ms": "5"}
            await world.admin.delete("t")
            with pytest.raises(KafkaError):
                await world.admin.alter("t", lambda _: {})
        async with World(tmp_path, {}) as world:
            assert world.admin.count() == 0

    asyncio.run(scenario())


def test_a_partition_that_lost_its_stream_gets_a_new_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with World(tmp_path, {}) as world:
            await world.admin.create("wide", 9, {}, explicit=True)
            await world.admin.create("narrow", 1, {}, explicit=True)
            before = world.admin.find("wide")
            assert before is not None
            for partition in (0, 4, 7):
                world.log.delete_stream(before.streams[partition])
        async with World(tmp_path, {}) as world:
            after = world.admin.find("wide")
            assert after is not None
            assert after.id == before.id
            assert len(set(after.streams)) == 9
            assert [one == other for one, other in zip(before.streams, after.streams, strict=True)] == [
                partition not in (0, 4, 7) for partition in range(9)]
            assert world.admin.partition("wide", 4) is not None
            assert world.admin.count() == 2

    asyncio.run(scenario())


def test_a_broker_wide_policy_compacts_topics_that_appeared_by_themselves(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with World(tmp_path, {"log.cleanup.policy": "compact"}) as world:
            own = await world.admin.create("own", 1, {"cleanup.policy": "delete"}, explicit=True)
            appeared = await world.admin.create("appeared", 2, {}, explicit=False)
            assert list(world.admin.compacted()) == list(appeared.streams)
            assert own.streams[0] not in world.admin.compacted()
            stream = appeared.streams[0]
            for value in (b"1", b"2", b"3"):
                world.log.partition(stream).append(keyed([(b"k", value)]))
            world.log.seal()
            assert clean(world.log, stream, NOW)
            assert everything(world.log, stream) == {2: (b"k", b"3")}

    asyncio.run(scenario())
