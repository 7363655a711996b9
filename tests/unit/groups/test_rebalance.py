"""The classic rebalance: joining, electing, assigning, leaving, timeouts."""
from dataclasses import replace

import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq.server.groups.limits import GroupLimits
from robustmq.server.groups.states import State

from .world import Client, World, stable


@pytest.fixture
def world() -> World:
    return World()


def test_a_new_dynamic_member_must_come_back_with_its_id(world: World) -> None:
    client = Client(world)
    client.ask_join()
    assert client.error == ErrorCode.MEMBER_ID_REQUIRED
    assert client.id.startswith("me-")
    assert world.group().pending
    client.ask_join()
    assert client.error == ErrorCode.NONE
    assert client.leads
    assert client.generation == 1


@pytest.mark.parametrize("version", [0, 3])
def test_before_v4_an_id_comes_with_the_generation(world: World, version: int) -> None:
    client = Client(world, version=version)
    client.ask_join()
    assert client.error == ErrorCode.NONE
    assert client.id


def test_an_id_that_nobody_uses_is_forgotten_and_with_it_the_group(world: World) -> None:
    client = Client(world)
    client.ask_join()
    world.advance(client.session_timeout_ms)
    assert not world.coordinator.groups
    client.ask_join()
    assert client.error == ErrorCode.UNKNOWN_MEMBER_ID


def test_the_leader_gets_the_members_and_its_assignment_reaches_all(world: World) -> None:
    first, second = Client(world), Client(world)
    stable(world, first, second)
    leader, follower = (first, second) if first.leads else (second, first)
    assert {each.member_id for each in leader.joins[-1].members} == {first.id, second.id}
    assert all(each.metadata == b"topics" for each in leader.joins[-1].members)
    assert follower.joins[-1].members == []
    assert [client.syncs[-1].assignment for client in (first, second)] == [
        b"of " + first.id.encode(), b"of " + second.id.encode()]
    assert leader.joins[-1].protocol_name == "range"
    assert leader.joins[-1].protocol_type == "consumer"


def test_a_second_member_makes_the_first_join_again(world: World) -> None:
    first, second = Client(world), Client(world)
    stable(world, first)
    assert first.heartbeat() == ErrorCode.NONE
    second.join()
    assert second.error is None
    assert first.heartbeat() == ErrorCode.REBALANCE_IN_PROGRESS
    assert first.sync().syncs[-1].error_code == ErrorCode.REBALANCE_IN_PROGRESS
    first.ask_join()
    assert first.generation == second.generation == 2


def test_whoever_does_not_rejoin_in_time_is_out(world: World) -> None:
    first, second = Client(world, session_timeout_ms=120_000), Client(world)
    stable(world, first)
    second.join()
    world.advance(59_999)
    assert second.error is None
    world.advance(1)
    assert second.error == ErrorCode.NONE
    assert first.heartbeat() == ErrorCode.UNKNOWN_MEMBER_ID
    assert list(world.group().members) == [second.id]


def test_a_silent_member_is_taken_for_gone(world: World) -> None:
    first, second = Client(world), Client(world)
    stable(world, first, second)
    world.advance(9_000)
    assert first.heartbeat() == ErrorCode.NONE
    world.advance(1_000)
    assert first.heartbeat() == ErrorCode.REBALANCE_IN_PROGRESS
    assert second.heartbeat() == ErrorCode.UNKNOWN_MEMBER_ID


def test_who_waits_for_others_does_not_lose_its_session(world: World) -> None:
    slow, waiting = Client(world, session_timeout_ms=50_000), Client(world)
    stable(world, slow)
    waiting.join()
    world.advance(40_000)
    assert waiting.id in world.group().members
    slow.ask_join()
    assert waiting.error == ErrorCode.NONE
    follower = slow if waiting.leads else waiting
    follower.sync()
    world.advance(20_000)
    assert follower.id in world.group().members


def test_a_session_begins_anew_when_a_rebalance_ends_the_wait_for_an_assignment(world: World) -> None:
    leader, follower, third = Client(world, session_timeout_ms=100_000), Client(world), Client(world)
    stable(world, leader)
    follower.join()
    leader.ask_join()
    follower.sync()
    world.advance(40_000)                       # the leader's assignment does not come
    third.join()
    assert follower.syncs[-1].error_code == ErrorCode.REBALANCE_IN_PROGRESS
    world.coordinator.on_time("g", world.now_ms)
    assert follower.id in world.group().members


def test_who_does_not_sync_is_out_after_the_rebalance_timeout(world: World) -> None:
    first, second = Client(world, session_timeout_ms=100_000), Client(world, session_timeout_ms=100_000)
    stable(world, first)
    second.join()
    first.ask_join()
    leader, follower = (first, second) if first.leads else (second, first)
    follower.sync()
    world.advance(60_000)
    assert follower.syncs[-1].error_code == ErrorCode.REBALANCE_IN_PROGRESS
    assert leader.heartbeat() == ErrorCode.UNKNOWN_MEMBER_ID


def test_the_group_ends_with_its_last_member(world: World) -> None:
    client = Client(world)
    stable(world, client)
    assert client.leave() == ErrorCode.NONE
    assert not world.coordinator.groups
    assert world.coordinator.size_bytes == 0
    assert client.leave() == ErrorCode.UNKNOWN_MEMBER_ID


def test_leaving_rebalances_the_others(world: World) -> None:
    first, second = Client(world), Client(world)
    stable(world, first, second)
    leader, follower = (first, second) if first.leads else (second, first)
    assert leader.leave() == ErrorCode.NONE
    assert follower.heartbeat() == ErrorCode.REBALANCE_IN_PROGRESS
    follower.ask_join()
    assert follower.leads


def test_initial_delay_gathers_members_and_is_extended_while_they_come() -> None:
    world = World(GroupLimits(group_initial_rebalance_delay_ms=3_000))
    first, second, third = (Client(world, rebalance_timeout_ms=7_000) for _ in range(3))
    first.join()
    world.advance(2_000)
    second.join()
    world.advance(1_000)
    assert first.error is None      # extended: second came
    world.advance(2_500)
    third.join()
    world.advance(500)
    assert first.error is None      # extended by the one second that is left of the rebalance timeout
    world.advance(1_000)
    assert [client.generation for client in (first, second, third)] == [1, 1, 1]


def test_initial_delay_without_latecomers_is_not_extended() -> None:
    world = World(GroupLimits(group_initial_rebalance_delay_ms=3_000))
    client = Client(world).join()
    world.advance(2_999)
    assert client.error is None
    world.advance(1)
    assert client.generation == 1


def test_protocol_is_what_all_know_and_most_want(world: World) -> None:
    a = Client(world, {"range": b"", "sticky": b"", "roundrobin": b""})
    b = Client(world, {"sticky": b"", "range": b""})
    c = Client(world, {"sticky": b"", "range": b"", "other": b""})
    stable(world, a, b, c)
    assert world.group().protocol == "sticky"
    stranger = Client(world, {"roundrobin": b""}).join()
    assert stranger.error == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_cooperative_members_rebalance_with_what_they_own(world: World) -> None:
    first = Client(world, {"cooperative-sticky": b"owns 0,1"})
    second = Client(world, {"cooperative-sticky": b"owns"})
    stable(world, first)
    second.join()
    first.protocols = {"cooperative-sticky": b"owns 0"}
    first.ask_join()
    leader = first if first.leads else second
    assert {each.metadata for each in leader.joins[-1].members} == {b"owns 0", b"owns"}
    assert world.group().protocol == "cooperative-sticky"


def test_a_lost_answer_is_given_again(world: World) -> None:
    first, second = Client(world), Client(world)
    stable(world, first, second)
    leader, follower = (first, second) if first.leads else (second, first)
    follower.ask_join()
    assert follower.joins[-1].generation_id == follower.generation == world.group().generation
    assert follower.joins[-1].members == []
    assert world.group().state is State.STABLE
    leader.ask_join()               # a leader that joins again wants a new assignment
    assert world.group().state is State.PREPARING


def test_sync_and_heartbeat_are_fenced_by_generation_and_id(world: World) -> None:
    client = Client(world)
    stable(world, client)
    assert client.heartbeat(generation_id=7) == ErrorCode.ILLEGAL_GENERATION
    assert client.heartbeat(member_id="nobody") == ErrorCode.UNKNOWN_MEMBER_ID
    assert client.heartbeat(group_id="") == ErrorCode.INVALID_GROUP_ID
    assert client.heartbeat(group_id="other") == ErrorCode.UNKNOWN_MEMBER_ID
    for change, error in (({"generation_id": 7}, ErrorCode.ILLEGAL_GENERATION),
                          ({"member_id": "nobody"}, ErrorCode.UNKNOWN_MEMBER_ID),
                          ({"protocol_name": "sticky"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
                          ({"protocol_type": "connect"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)):
        assert client.sync(**change).syncs[-1].error_code == error
    assert client.sync().syncs[-1].assignment == b"of " + client.id.encode()


@pytest.mark.parametrize(("changes", "error"), [
    ({"group_id": ""}, ErrorCode.INVALID_GROUP_ID),
    ({"session_timeout_ms": 5_999}, ErrorCode.INVALID_SESSION_TIMEOUT),
    ({"session_timeout_ms": 1_800_001}, ErrorCode.INVALID_SESSION_TIMEOUT),
    ({"member_id": "nobody"}, ErrorCode.UNKNOWN_MEMBER_ID),
    ({"protocol_type": ""}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
    ({"protocols": []}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
])
def test_a_join_that_cannot_be(world: World, changes: dict[str, object], error: ErrorCode) -> None:
    client = Client(world)
    client.ask_join(**changes)
    assert client.error == error
    assert not world.coordinator.groups


def test_bounds() -> None:
    limits = GroupLimits(group_initial_rebalance_delay_ms=0, group_max_size=2, groups_max=1)
    world = World(limits)
    first, second = Client(world), Client(world)
    stable(world, first)
    second.ask_join()
    third = Client(world)
    third.ask_join()
    assert third.error == ErrorCode.GROUP_MAX_SIZE_REACHED
    second.ask_join()
    assert second.error == ErrorCode.MEMBER_ID_REQUIRED     # its first answer: the place was kept, it waits now
    assert second.id in world.group().members
    elsewhere = Client(world)
    elsewhere.ask_join(group_id="h")
    assert elsewhere.error == ErrorCode.GROUP_MAX_SIZE_REACHED
    small = World(replace(limits, groups_max_bytes=100))
    big = Client(small, {"range": bytes(101)})
    big.ask_join()
    assert big.error == ErrorCode.GROUP_MAX_SIZE_REACHED
    fits = Client(small, {"range": bytes(50)}).join()
    assert fits.sync({fits.id: bytes(60)}).syncs[-1].error_code == ErrorCode.GROUP_MAX_SIZE_REACHED


def test_what_is_remembered_is_counted_and_released(world: World) -> None:
    first, second = Client(world), Client(world)
    stable(world, first, second)
    assert world.coordinator.size_bytes == world.group().size_bytes > 2 * len(b"rangetopics")
    second.leave()
    world.advance(100_000)
    assert world.coordinator.size_bytes == 0
