"""Static membership (KIP-345) and its leader's return (KIP-814)."""
import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.messages import LeaveGroupRequest
from robustmq._fastpath.protocols.kafka.messages.leave_group import MemberIdentity
from robustmq.server.groups.states import State

from .world import Client, World, stable


@pytest.fixture
def world() -> World:
    return World()


def test_a_static_member_needs_no_second_join(world: World) -> None:
    client = Client(world, instance="one")
    client.ask_join()
    assert client.error == ErrorCode.NONE
    assert client.id.startswith("one-")


def test_a_restarted_follower_disturbs_nobody_and_fences_its_old_self(world: World) -> None:
    first, old = Client(world, instance="one"), Client(world, instance="two")
    stable(world, first, old)
    if old.leads:
        first, old = old, first
    again = Client(world, instance=old.instance)
    again.ask_join()
    assert again.error == ErrorCode.NONE
    assert again.generation == old.generation
    assert again.id != old.id
    assert world.group().state is State.STABLE
    assert first.heartbeat() == ErrorCode.NONE
    assert old.heartbeat() == ErrorCode.FENCED_INSTANCE_ID
    assert again.sync().syncs[-1].assignment == b"of " + old.id.encode()
    assert world.commit(5, old) == ErrorCode.FENCED_INSTANCE_ID
    old.ask_join()
    assert old.error == ErrorCode.FENCED_INSTANCE_ID


@pytest.mark.parametrize(("version", "skips"), [(8, False), (9, True)])
def test_a_restarted_leader(world: World, version: int, skips: bool) -> None:
    first, second = Client(world, instance="one"), Client(world, instance="two")
    stable(world, first, second)
    leader = first if first.leads else second
    again = Client(world, instance=leader.instance, version=version)
    again.ask_join()
    response = again.joins[-1]
    assert response.skip_assignment == skips
    assert (response.leader == again.id) == skips
    assert len(response.members) == (2 if skips else 0)
    assert world.group().state is State.STABLE


def test_a_restart_with_other_protocols_rebalances(world: World) -> None:
    first, second = Client(world, instance="one"), Client(world, instance="two")
    for client in (first, second):
        client.protocols = {"range": b"", "sticky": b""}
    stable(world, first, second)
    again = Client(world, {"sticky": b""}, instance="two")
    again.ask_join()
    assert again.error is None
    assert world.group().state is State.PREPARING


def test_the_older_of_two_joins_is_fenced(world: World) -> None:
    first = Client(world, instance="one")
    stable(world, first)
    other = Client(world, instance="two")
    other.ask_join()
    newer = Client(world, instance="two")
    newer.ask_join()
    assert other.error == ErrorCode.FENCED_INSTANCE_ID
    assert newer.error is None
    first.ask_join()
    assert newer.error == ErrorCode.NONE


def test_an_absent_static_member_keeps_its_place_until_its_session_ends(world: World) -> None:
    absent, here = Client(world, instance="one", session_timeout_ms=90_000), Client(world, instance="two")
    stable(world, absent)
    here.ask_join()
    world.advance(60_000)
    assert here.error == ErrorCode.NONE
    assert here.leads
    assert set(world.group().members) == {absent.id, here.id}
    here.sync()
    world.advance(9_000)
    here.heartbeat()
    world.advance(9_000)
    here.heartbeat()
    world.advance(8_999)
    here.heartbeat()
    assert absent.id in world.group().members
    world.advance(9_000)
    assert absent.id not in world.group().members


def test_an_administrator_removes_by_instance(world: World) -> None:
    client = Client(world, instance="one")
    stable(world, client)
    request = LeaveGroupRequest("g", members=[MemberIdentity("", "two"), MemberIdentity("wrong", "one"),
                                              MemberIdentity("", "one")])
    error, members = world.coordinator.leave(request, 5, world.now_ms)
    assert error == ErrorCode.NONE
    assert [each.error_code for each in members] == [
        ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID, ErrorCode.NONE]
    assert not world.coordinator.groups
