"""Shared subscriptions over one reactor: groups end with their last member, and what names them later finds nothing."""
from __future__ import annotations

import pytest
from robustmq._fastpath.broker.exchange import SubscribeError

from tests.unit.mqtt_world import Client, World, publish

FILTER = "$share/g/a"


def groups(world: World) -> int:
    count: int = world.exchange.counters()["shared_groups"]
    return count


def connect(world: World, name: bytes) -> Client:
    """A client that has read its CONNACK."""
    client = world.connect(name)
    client.read()
    return client


def test_members_take_turns_and_a_group_ends_with_its_last() -> None:
    world = World()
    first, second, writer = connect(world, b"1"), connect(world, b"2"), connect(world, b"w")
    world.subscribe(first, 0, FILTER)
    world.subscribe(second, 0, FILTER)
    writer.send(b"".join(publish("a", b"%d" % i) for i in range(4)))
    assert (len(first.read()), len(second.read())) == (2, 2)
    assert world.exchange.unsubscribe(first.session, FILTER)
    assert groups(world) == 1
    writer.send(publish("a", b"5"))
    assert (len(first.read()), len(second.read())) == (0, 1)
    assert world.exchange.unsubscribe(second.session, FILTER)
    assert not world.exchange.unsubscribe(second.session, FILTER)
    assert groups(world) == 0
    writer.send(publish("a", b"6"))
    assert not first.read() and not second.read()


def test_groups_come_and_go_without_end() -> None:
    """More lives than a process has slots for groups."""
    world = World()
    member = connect(world, b"m")
    for i in range(70_000):
        world.exchange.subscribe(member.session, f"$share/g{i}/a", qos=0)
        assert world.exchange.unsubscribe(member.session, f"$share/g{i}/a")
    assert groups(world) == 0
    world.subscribe(member, 0, FILTER)
    connect(world, b"w").send(publish("a", b"1"))
    assert len(member.read()) == 1


def test_what_a_member_leaves_behind_goes_to_the_others() -> None:
    world = World()
    first, second = connect(world, b"1"), connect(world, b"2")
    world.subscribe(first, 1, FILTER)
    connect(world, b"w").send(publish("a", b"unacknowledged", 1, 7))
    assert len(first.read()) == 1
    world.subscribe(second, 1, FILTER)
    world.end(first, 0)
    assert len(second.read()) == 1


def test_what_went_out_with_qos_2_goes_to_no_other() -> None:
    """[MQTT-4.8.2-5]; what still waited for room in the window does."""
    world = World()
    first, second = world.connect(b"1", window=1), connect(world, b"2")
    first.read()
    world.subscribe(first, 2, FILTER)
    connect(world, b"w").send(publish("a", b"sent", 2, 7) + publish("a", b"waits", 2, 8))
    assert [packet[-4:] for packet in first.read()] == [b"sent"]
    world.subscribe(second, 2, FILTER)
    world.end(first, 0)
    assert [packet[-5:] for packet in second.read()] == [b"waits"]


@pytest.mark.parametrize("again", [False, True])
def test_what_belonged_to_a_group_that_ended_goes_to_no_other(again: bool) -> None:
    """Only to a later group of that name and filter, which is what it is after a restart, too."""
    world = World()
    first, second, third = (connect(world, name) for name in (b"1", b"2", b"3"))
    world.subscribe(first, 1, FILTER)
    connect(world, b"w").send(publish("a", b"unacknowledged", 1, 7))
    assert len(first.read()) == 1
    assert world.exchange.unsubscribe(first.session, FILTER)
    world.subscribe(third, 1, "$share/other/a")
    if again:
        world.subscribe(second, 1, FILTER)
    world.end(first, 0)
    assert (len(second.read()), len(third.read())) == (1 if again else 0, 0)


def test_a_subscription_that_fails_leaves_no_member() -> None:
    """Too many levels for the index: the group that was made for it is gone again."""
    world = World()
    member = connect(world, b"m")
    with pytest.raises(SubscribeError):
        world.exchange.subscribe(member.session, "$share/g/" + "/".join("a" * 200), qos=0)
    assert groups(world) == 0
