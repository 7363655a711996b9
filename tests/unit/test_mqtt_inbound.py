"""PUBLISH from clients: acknowledgements, QoS 2 exactly once, receive maximum, aliases, errors."""
from pathlib import Path

import pytest

from tests.shims import store
from tests.unit.mqtt_world import (
    MALFORMED,
    OK,
    PARKED,
    PROTOCOL_ERROR,
    QUOTA,
    REFUSE,
    REPLY,
    SECOND,
    STORE_FAILED,
    TIMED_OUT,
    TOO_LARGE,
    World,
    ack,
    publish,
)


def test_nothing_before_connect() -> None:
    """[MQTT-3.1.0-1] the first packet is a CONNECT."""
    from tests.shims.mqtt_link import FakeLink
    world = World()
    link = FakeLink(world.protocol, world.reactor, 1, 0)
    assert link.feed(b"\xc0\0") == PROTOCOL_ERROR
    assert link.take() == b""


def test_connect_is_bounded_when_its_length_is_read() -> None:
    """A CONNECT that announces more than the bound is refused before it is buffered."""
    from tests.shims.mqtt_link import FakeLink
    world = World()
    link = FakeLink(world.protocol, world.reactor, 1, 0)
    assert link.feed(b"\x10\xff\xff\xff\x7f") == TOO_LARGE


def test_connect_timeout() -> None:
    """A link that never sends CONNECT is closed by the timer that open() armed."""
    from tests.shims.mqtt_link import FakeLink
    world = World(limits={"connect_timeout_ms": 500})
    link = FakeLink(world.protocol, world.reactor, 1, 1000)
    assert link.timer == 1000 + SECOND // 2
    link.fire(link.timer)
    assert link.closed == TIMED_OUT


def test_second_connect() -> None:
    """[MQTT-3.1.0-2]"""
    client = World().connect()
    client.read()
    assert client.send(bytes.fromhex("101000044d51545404020000000474657374")) == PROTOCOL_ERROR


def test_every_packet_of_the_server_is_refused() -> None:
    """CONNACK, SUBACK, UNSUBACK, PINGRESP, AUTH and the reserved type, from a client."""
    for first in (0x00, 0x20, 0x90, 0xB0, 0xD0, 0xF0):
        assert World().connect().send(bytes((first, 0))) == PROTOCOL_ERROR


def test_ping() -> None:
    """[MQTT-3.12.4-1]; flags or a body are malformed."""
    client = World().connect()
    client.read()
    assert client.send(b"\xc0\0") == OK
    assert client.read() == [b"\xd0\0"]
    assert client.send(b"\xc1\0") == MALFORMED


def test_qos1_is_acknowledged_in_order() -> None:
    """[MQTT-4.6.0-2], whatever topics the messages have; many acknowledgements in one piece of output."""
    client = World().connect()
    client.read()
    assert client.send(b"".join(publish(f"t/{i % 20}", b"x", 1, i + 1) for i in range(100))) == OK
    assert client.read() == [ack(4, i + 1) for i in range(100)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16])
def test_any_cut(size: int) -> None:
    """The same packets, `size` bytes at a time."""
    client = World().connect()
    client.read()
    data = publish("a/b", b"one", 1, 1) + publish("a/b", b"two" * 50, 2, 2) + b"\xc0\0"
    for at in range(0, len(data), size):
        client.send(data[at:at + size])
    assert sorted(client.read()) == [ack(4, 1), ack(5, 2), b"\xd0\0"]


def test_qos2_is_stored_once() -> None:
    """[MQTT-4.3.3-10] a PUBLISH whose identifier is open is acknowledged again and not stored again."""
    world = World()
    reader = world.connect(b"reader")
    world.subscribe(reader)
    client = world.connect()
    reader.read(), client.read()
    client.send(publish("a", b"1", 2, 7))
    client.send(publish("a", b"1", 2, 7, dup=True))
    assert client.read() == [ack(5, 7), ack(5, 7)]
    assert len(reader.read()) == 1
    client.send(ack(6, 7))
    client.send(ack(6, 7))
    assert client.read() == [ack(7, 7), ack(7, 7)]
    client.send(publish("a", b"2", 2, 7))
    assert client.read() == [ack(5, 7)]
    assert len(reader.read()) == 1


def test_released_twice_in_version_5() -> None:
    """PUBCOMP 0x92 for an identifier that is not open [MQTT-3.7.2-1]."""
    client = World().connect(version=5)
    client.read()
    client.send(ack(6, 9))
    assert client.read() == [ack(7, 9, 0x92)]


def test_receive_maximum() -> None:
    """[MQTT-3.3.4-9] one more than allowed without an acknowledgement: DISCONNECT 0x93."""
    world = World(limits={"receive_maximum": 3})
    client = world.connect(version=5)
    client.read()
    for i in range(3):
        assert client.send(publish("a", b"", 2, i + 1, properties=b"")) == OK
    assert client.send(publish("a", b"", 2, 4, properties=b"")) == QUOTA
    assert client.read()[-1] == bytes.fromhex("e00193")


def test_receive_maximum_is_given_back() -> None:
    """An acknowledged message no longer counts."""
    client = World(limits={"receive_maximum": 1}).connect(version=5)
    client.read()
    for i in range(5):
        assert client.send(publish("a", b"", 1, i + 1, properties=b"")) == OK
        assert client.send(publish("a", b"", 2, i + 1, properties=b"") + ack(6, i + 1)) == OK
    assert len(client.read()) == 15


def test_disk_acknowledges_when_it_is_synced(tmp_path: Path) -> None:
    """Acknowledgements wait in order for the journal, and go out together."""
    world = World("disk", directory=tmp_path / "log")
    client = world.connect()
    client.read()
    client.send(publish("a", b"1", 1, 1) + publish("b", b"2", 2, 2))
    client.send(publish("a", b"3", 1, 3))
    assert client.read() == []
    assert client.link.awaited > 0
    assert world.counters()["awaiting_disk"] == 3
    world.log.sync()
    client.link.synced(world.log.durable)
    assert client.read() == [ack(4, 1), ack(5, 2), ack(4, 3)]
    assert world.counters()["awaiting_disk"] == 0
    assert client.link.awaited == 0


def test_a_failed_sync_refuses_what_waits_for_the_disk(tmp_path: Path) -> None:
    """Version 5 has a word for it; the packet identifier of a refused QoS 2 message is free again [MQTT-4.3.3-9]."""
    world = World("disk", directory=tmp_path / "log")
    new, old = world.connect(b"new", version=5), world.connect(b"old")
    new.read(), old.read()
    new.send(publish("a", b"1", 1, 1, properties=b"") + publish("b", b"2", 2, 2, properties=b""))
    old.send(publish("a", b"3", 1, 1))
    store.fail(world.log)
    new.link.sync_failed()
    old.link.sync_failed()
    assert new.read() == [bytes.fromhex("4003000180"), bytes.fromhex("5003000280")]
    assert old.read() == [] and old.link.closed == STORE_FAILED
    new.send(publish("b", b"2", 2, 2, properties=b"") + publish("b", b"4", 0, properties=b""))
    assert new.read() == [bytes.fromhex("5003000280")]
    assert old.send(publish("a", b"5", 0)) == OK
    assert old.send(publish("a", b"6", 1, 7)) == STORE_FAILED
    assert world.counters()["dropped_unpublishable"] == 4


def test_alias() -> None:
    """[MQTT-3.3.2.3.4] an alias is learnt, used, and means another topic after it was set again."""
    world = World()
    reader = world.connect(b"reader")
    world.subscribe(reader)
    client = world.connect(version=5)
    reader.read(), client.read()
    client.send(publish("first", b"1", properties=b"\x23\0\1"))
    client.send(publish("", b"2", properties=b"\x23\0\1"))
    client.send(publish("second", b"3", properties=b"\x23\0\1"))
    client.send(publish("", b"4", properties=b"\x23\0\1"))
    assert reader.read() == [publish("first", b"1"), publish("first", b"2"), publish("second", b"3"),
                             publish("second", b"4")]


def test_alias_errors() -> None:
    """Beyond the maximum: 0x94 [MQTT-3.3.2-9]; never set: 0x82."""
    client = World(limits={"topic_alias_max": 2}).connect(version=5)
    client.read()
    client.send(publish("a", b"", properties=b"\x23\0\3"))
    assert client.read() == [bytes.fromhex("e00194")]
    client = World().connect(version=5)
    client.read()
    client.send(publish("", b"", properties=b"\x23\0\1"))
    assert client.read() == [bytes.fromhex("e00182")]


def test_bad_topic() -> None:
    """3.1.1 has no word: the connection is closed. Version 5 says 0x90, in the acknowledgement when there is one."""
    client = World().connect()
    client.read()
    assert client.send(publish("a/+", b"", 1, 1)) != OK
    assert client.read() == []
    client = World().connect(version=5)
    client.read()
    assert client.send(publish("a/+", b"", 1, 1, properties=b"")) == OK
    assert client.read() == [ack(4, 1, 0x90)]
    assert client.send(publish("a/+", b"", properties=b"")) != OK
    assert client.read() == [bytes.fromhex("e00190")]


def test_packet_beyond_the_maximum() -> None:
    """Refused when its length is read, with 0x95."""
    client = World(limits={"max_packet_size": 100}).connect(version=5)
    client.read()
    assert client.send(b"\x30\x64" + b"\0\1a\0") == TOO_LARGE
    assert client.read() == [bytes.fromhex("e00195")]


def test_the_log_refuses() -> None:
    """Version 5 hears 0x97 and may use the identifier again; 3.1.1 is closed without an acknowledgement."""
    world = World()
    large = b"x" * 300_000                      # the memory log takes a quarter of a segment at most
    client = world.connect(version=5)
    client.read()
    client.send(publish("a", large, 2, 2, properties=b"") + publish("a", large, 1, 3, properties=b""))
    assert client.read() == [ack(5, 2, 0x97), ack(4, 3, 0x97)]
    client.send(publish("a", b"small", 2, 2, properties=b""))
    assert client.read() == [ack(5, 2)]
    other = world.connect(b"other")
    other.read()
    assert other.send(publish("a", large, 1, 3)) == TOO_LARGE
    assert other.read() == []
    assert world.counters()["dropped_unpublishable"] == 3


def test_subscribe_parks_and_comes_after_what_was_published() -> None:
    """The cold half gets the packet once the publishes before it are stored; nothing behind it is parsed meanwhile."""
    client = World().connect()
    client.read()
    subscribe = bytes.fromhex("8210000a000b") + b"$share/g/ab" + b"\1"
    assert client.send(publish("a", b"", 1, 1) + subscribe + b"\xc0\0") == PARKED
    assert client.read() == [ack(4, 1)]
    assert client.link.control[-1] == (1, subscribe)
    assert client.link.parked
    client.link.answer(REPLY, bytes.fromhex("9003000a01"))
    assert not client.link.parked
    client.send(b"")
    assert client.read() == [bytes.fromhex("9003000a01"), b"\xd0\0"]


def test_refusal() -> None:
    """REFUSE: last words, then the given status."""
    client = World().connect()
    client.read()
    client.link.answer(REFUSE, bytes((MALFORMED,)) + bytes.fromhex("e00181"))
    assert client.read() == [bytes.fromhex("e00181")]
    assert client.link.closed == MALFORMED


def test_keep_alive() -> None:
    """[MQTT-3.1.2-22] one and a half times the interval, counted from the last packet; 0x8D for version 5."""
    client = World().connect(version=5, keep_alive_ms=15_000)
    client.read()
    assert client.link.timer == 15 * SECOND
    client.send(b"\xc0\0", 4 * SECOND)
    client.link.fire(15 * SECOND)
    assert client.link.timer == 19 * SECOND
    client.link.fire(19 * SECOND)
    assert client.link.closed == TIMED_OUT
    assert client.read() == [b"\xd0\0", bytes.fromhex("e0018d")]


def test_disconnect() -> None:
    """The packet goes to the cold half, the link closes, and what stands behind it is ignored."""
    client = World().connect(version=5)
    client.read()
    assert client.send(bytes.fromhex("e00104") + publish("a", b"", 1, 1)) == OK
    assert client.link.control[-1] == (2, bytes.fromhex("e00104"))
    assert client.link.closed == 31
    assert client.read() == []


def test_disconnect_cannot_make_a_session_last() -> None:
    """[MQTT-3.14.2-2] session expiry 0 at CONNECT stays 0."""
    client = World().connect(version=5)
    assert client.send(bytes.fromhex("e00700051100000005")) == PROTOCOL_ERROR
    client = World().connect(version=5, persistent=True)
    assert client.send(bytes.fromhex("e00700051100000005")) == OK
