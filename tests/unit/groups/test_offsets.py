"""Committed offsets: who may commit, what survives, when it is forgotten."""
import asyncio

import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.messages import OffsetCommitRequest
from robustmq.server.groups.limits import GroupLimits
from robustmq.server.groups.offsets import Offsets
from robustmq.server.groups.service import Groups

from .world import Client, MemoryLog, World, stable


@pytest.fixture
def world() -> World:
    return World()


def test_offsets_and_metadata_survive_a_restart(world: World) -> None:
    assert world.commit(42, metadata="who, when \0 wé") == ErrorCode.NONE
    world.restart()
    committed = world.coordinator.offsets.of("g")[("t", 0)]
    assert (committed.offset, committed.metadata, committed.leader_epoch) == (42, "who, when \0 wé", -1)
    assert world.commit(43) == ErrorCode.NONE
    assert world.coordinator.offsets.count == 1


def test_only_members_commit_into_a_group_that_has_some(world: World) -> None:
    client = Client(world)
    stable(world, client)
    assert world.commit(1, client) == ErrorCode.NONE
    assert world.commit(1) == ErrorCode.UNKNOWN_MEMBER_ID
    client.generation += 1
    assert world.commit(1, client) == ErrorCode.ILLEGAL_GENERATION
    stranger = Client(world, id="nobody", generation=1)
    assert world.commit(1, stranger) == ErrorCode.UNKNOWN_MEMBER_ID


def test_commits_wait_for_the_assignment(world: World) -> None:
    client = Client(world).join()
    assert world.commit(1, client) == ErrorCode.REBALANCE_IN_PROGRESS
    client.sync({})
    assert world.commit(1, client) == ErrorCode.NONE


def test_commits_while_the_others_join_keep_the_session(world: World) -> None:
    first, second = Client(world), Client(world)
    stable(world, first)
    second.join()
    world.advance(9_000)
    assert world.commit(7, first) == ErrorCode.NONE
    world.advance(9_000)
    assert first.id in world.group().members


def test_a_generation_without_a_group_is_refused(world: World) -> None:
    assert world.commit(1, Client(world, id="m", generation=3)) == ErrorCode.ILLEGAL_GENERATION
    assert world.coordinator.may_commit(OffsetCommitRequest(""), 0) == ErrorCode.INVALID_GROUP_ID


def test_metadata_and_count_are_bounded() -> None:
    world = World(GroupLimits(offset_metadata_max_bytes=4, offsets_max=1))
    assert world.commit(1, metadata="12345") == ErrorCode.OFFSET_METADATA_TOO_LARGE
    assert not world.coordinator.groups
    assert world.commit(1, metadata="1234") == ErrorCode.NONE
    assert world.commit(2, topic="u") == ErrorCode.INVALID_COMMIT_OFFSET_SIZE
    assert world.commit(2) == ErrorCode.NONE


def test_offsets_of_a_simple_group_are_kept_after_the_last_commit() -> None:
    world = World(GroupLimits(offsets_retention_ms=1_000))
    world.commit(1, topic="a")
    world.advance(600)
    world.commit(1, topic="b")
    world.advance(400)
    assert list(world.coordinator.offsets.of("g")) == [("b", 0)]
    world.advance(600)
    assert not world.coordinator.groups
    assert not world.log.items


def test_offsets_are_kept_while_there_are_members_and_after_the_last_one_left() -> None:
    world = World(GroupLimits(group_initial_rebalance_delay_ms=0, offsets_retention_ms=1_000))
    client = Client(world)
    stable(world, client)
    world.commit(1, client)
    world.advance(5_000)
    assert world.coordinator.offsets.of("g")
    client.leave()
    world.advance(999)
    assert world.coordinator.offsets.of("g")
    world.advance(1)
    assert not world.coordinator.groups


def test_a_deleted_topic_takes_its_offsets_along(world: World) -> None:
    world.commit(1, topic="a")
    world.commit(1, topic="b")
    world.coordinator.offsets.forget_topic("a")
    assert list(world.coordinator.offsets.of("g")) == [("b", 0)]
    assert list(Offsets(world.log).of("g")) == [("b", 0)]


def test_the_service_answers_a_commit_when_it_is_durable() -> None:
    async def scenario() -> None:
        log = MemoryLog()
        groups = Groups(GroupLimits(), log)
        request = OffsetCommitRequest("g")
        errors = await groups.commit(request, [(("t", 0), 5, 1, "x"), (("t", 1), 6, 1, "y" * 5000)])
        assert errors == [ErrorCode.NONE, ErrorCode.OFFSET_METADATA_TOO_LARGE]
        assert log.waited == [1]
        assert groups.offsets("g")[("t", 0)].offset == 5
        groups.close()

    asyncio.run(scenario())


def test_the_service_arms_timers() -> None:
    async def scenario() -> None:
        groups = Groups(GroupLimits(group_initial_rebalance_delay_ms=20), MemoryLog())
        world = World()
        client = Client(world, instance="one")
        asked: list[object] = []
        world.coordinator.join = lambda request, version, *_: asked.append(request)  # type: ignore[method-assign,assignment]
        client.ask_join()
        response = await asyncio.wait_for(groups.join(asked[0], 9, "me"), 2)  # type: ignore[arg-type]
        assert response.generation_id == 1
        groups.close()

    asyncio.run(scenario())
