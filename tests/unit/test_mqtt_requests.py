"""SUBSCRIBE and UNSUBSCRIBE that a reactor answers: what is granted there, and what is left to the control plane."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from robustmq._fastpath.protocols.mqtt import packets
from robustmq._fastpath.protocols.mqtt.properties import Properties, put_properties
from robustmq._fastpath.protocols.mqtt.reader import close_packet, open_packet, put_binary
from robustmq._fastpath.protocols.mqtt.reasons import WireError
from tests.unit.mqtt_world import OK, PARKED, QUOTA, REPLY, Client, World, ack, publish

SPEC = Path(__file__).parents[1] / "spec"
REQUESTS = [(version, frame) for version, folder in ((4, "mqtt311"), (5, "mqtt5"))
            for vector in json.loads((SPEC / folder / "control.json").read_text())
            if (frame := bytes.fromhex(vector["hex"]))[0] >> 4 in (8, 10)]


def subscribe(version: int, *filters: tuple[str, int], properties: Properties | None = None) -> bytes:
    body = b"\0\x0a" + (put_properties(properties or {}) if version == 5 else b"")
    body += b"".join(put_binary(text.encode()) + bytes((options,)) for text, options in filters)
    return close_packet(0x82, body)


def unsubscribe(version: int, *filters: str) -> bytes:
    return close_packet(0xA2, b"\0\x0b" + (b"\0" if version == 5 else b"") + b"".join(
        put_binary(text.encode()) for text in filters))


def connected(world: World, name: bytes, version: int = 4) -> Client:
    """Who has read its CONNACK."""
    client = world.connect(name, version)
    client.read()
    return client


def got(client: Client) -> list[bytes]:
    """The topics of the messages that it was sent."""
    return [frame[4 : 4 + frame[3]] for frame in client.read() if frame[0] >> 4 == 3]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_in_force_at_once(version: int) -> None:
    """What another client sends behind the SUBSCRIBE arrives; SUBACK comes first [MQTT-3.8.4-1 to -3]."""
    world = World()
    publisher = world.connect(b"p")
    reader = connected(world, b"r", version)
    assert reader.send(subscribe(version, ("a/+", 1), ("b", 0))) == OK
    assert not reader.link.parked
    publisher.send(publish("a/b", b"x", 1, 7) + publish("b", b"y"))
    packets_ = reader.read()
    assert packets_[0] == packets.encode_suback(version, 10, [1, 0])
    assert [(frame[0] >> 4, frame[0] >> 1 & 3) for frame in packets_[1:]] == [(3, 1), (3, 0)]
    assert reader.send(unsubscribe(version, "a/+", "never")) == OK
    assert reader.read() == [packets.encode_unsuback(version, 11, [0, 0x11])]
    publisher.send(publish("a/b", b"x"))
    assert reader.read() == []
    world.close()


def test_options_and_identifier() -> None:
    """No local, retain as published, QoS and identifier reach the messages; a second SUBSCRIBE replaces them."""
    world = World()
    both = world.connect(b"b", 5)
    both.send(subscribe(5, ("a", 4 | 8 | 1), properties={"subscription_id": 300}))
    both.read()
    both.send(publish("a", b"x", properties=b""))
    assert both.read() == []                                                        # [MQTT-3.8.3-3]
    world.connect(b"p").send(publish("a", b"x", 2, 3, retain=True))
    assert both.read()[0] == b"\x33\x0a\0\1a\0\1\x03\x0b\xac\x02x"                   # QoS 1, RETAIN, identifier 300
    both.send(subscribe(5, ("a", 0x20)))
    both.read()
    both.send(publish("a", b"y", properties=b""))
    assert both.read() == [b"\x30\x05\0\1a\0y"]
    assert world.exchange.subscriptions(both.session) == 1
    world.close()


@pytest.mark.parametrize(("handling", "first", "again"), [(0x00, 1, 1), (0x10, 1, 0), (0x20, 0, 0)])
def test_retain_handling(handling: int, first: int, again: int) -> None:
    """[MQTT-3.3.1-9 to -11] behind the SUBACK, with RETAIN."""
    world = World()
    world.connect(b"p").send(publish("a", b"kept", retain=True))
    reader = connected(world, b"r", 5)
    for count in (first, again):
        reader.send(subscribe(5, ("+", handling)))
        suback, *messages = reader.read()
        assert suback == packets.encode_suback(5, 10, [0])
        assert messages == [b"\x31\x08\0\1a\0kept"] * count
    world.close()


@pytest.mark.parametrize("here", [True, False])
def test_no_retained_message_behind_unsuback(here: bool) -> None:
    """What the window of an UNSUBSCRIBE's client kept back of a replay never comes [MQTT-3.10.4-2]; that of another
    subscription does. Also when the control plane takes the filter away."""
    world = World()
    publisher = world.connect(b"p")
    for topic in ("a", "b", "c"):
        publisher.send(publish(topic, b"kept", 1, 1, retain=True))
    reader = world.connect(b"r", window=1)
    reader.send(subscribe(4, ("+", 1)))
    reader.send(subscribe(4, ("c", 1)))
    assert len(got(reader)) == 1
    if here:
        reader.send(unsubscribe(4, "+"))
    else:
        assert world.exchange.unsubscribe(reader.session, "+")
    reader.send(ack(4, 1))
    assert got(reader) == [b"c"]
    reader.send(ack(4, 2))
    assert got(reader) == []
    world.close()


def test_left_to_the_control_plane() -> None:
    """Denied, shared, too deep, one too many, too many at once: nothing of it has happened."""
    world = World(limits={"deny_subscribe": ("no/+",), "max_subscriptions_per_session": 70})
    reader = world.connect(b"r", 5)
    assert reader.send(subscribe(5, ("no/a", 0), ("no/+/x", 0))) == OK
    many = [(f"t{i}", 0) for i in range(65)]
    for filters in ([("a", 0), ("no/+", 0)], [("a", 0), ("$share/g/a", 0)], [("/".join("a" * 129), 0)], many):
        assert reader.send(subscribe(5, *filters)) == PARKED
        assert reader.link.control[-1][1] == subscribe(5, *filters)
        assert reader.link.answer(REPLY, b"") == OK
        assert world.exchange.subscriptions(reader.session) == 2
    assert reader.send(subscribe(5, *many[:64])) == OK
    assert reader.send(subscribe(5, *many[64:], ("u", 0), ("v", 0), ("w", 0), ("x", 0))) == PARKED
    assert world.exchange.subscriptions(reader.session) == 66
    world.close()


def test_a_session_that_survives(tmp_path: Path) -> None:
    """Its SUBACK waits for its record."""
    world = World(directory=tmp_path)
    lasting = world.connect(b"l", persistent=True)
    assert lasting.send(subscribe(4, ("a", 0))) == PARKED
    assert world.connect(b"s").send(subscribe(4, ("a", 0))) == OK
    assert world.exchange.counters()["subscriptions"] == 1
    world.close()


def test_all_end_with_the_session() -> None:
    world = World()
    reader, other = world.connect(b"r"), world.connect(b"o")
    for client in (reader, other):
        for at in range(0, 300, 60):
            client.send(subscribe(4, *((f"t/{i}", 0) for i in range(at, at + 60))))
    reader.send(unsubscribe(4, "t/7", "t/299"))
    assert world.exchange.counters()["subscriptions"] == 598
    world.end(reader, 0)
    world.reactor.run()
    assert world.exchange.counters()["subscriptions"] == 300
    other.read()
    world.connect(b"p").send(publish("t/8", b""))
    assert got(other) == [b"t/8"]
    world.end(other, 0)
    world.reactor.run()
    assert world.exchange.counters()["subscriptions"] == 0
    world.close()


def test_the_end_of_the_session_is_in_the_mailbox_already() -> None:
    """A SUBSCRIBE that is read before that mail runs starts nothing that outlives the session (ASan)."""
    world = World()
    world.connect(b"p").send(publish("t", b"kept", retain=True))
    reader, other = connected(world, b"r"), connected(world, b"o")
    world.protocol.session_end(reader.session, 0)
    assert reader.link.feed(subscribe(4, ("#", 0))) == OK
    world.reactor.run_one()
    world.exchange.unsubscribe(other.session, "t")              # what has been given up is freed
    world.reactor.run()
    assert world.exchange.counters()["subscriptions"] == 0
    world.close()


def test_retained_messages_that_are_asked_for_again_and_again() -> None:
    """What is on its way is bounded: 0x97 beyond as many filters as a session may have."""
    world = World(limits={"max_subscriptions_per_session": 3})
    world.connect(b"p").send(publish("a", b"kept", retain=True))
    reader = connected(world, b"r", 5)
    for _ in range(2):
        for _ in range(3):
            assert reader.link.feed(subscribe(5, ("a", 0))) == OK
        world.reactor.run()                                     # all are sent: it may ask again
        assert len(got(reader)) == 3
    for _ in range(3):
        assert reader.link.feed(subscribe(5, ("a", 0))) == OK
    assert reader.link.feed(subscribe(5, ("a", 0))) == QUOTA
    assert reader.read()[-1] == b"\xe0\x01\x97"
    world.close()


@pytest.mark.parametrize(("version", "frame"), REQUESTS)
def test_never_what_the_control_plane_refuses(version: int, frame: bytes) -> None:
    """Every vector, whole, cut at every byte and with every byte changed: what is answered here decodes there as well,
    and has an answer for each filter; what is left is left whole."""
    first, reader = open_packet(frame)
    body = reader.take(reader.left)
    tried = [body] + [body[:cut] for cut in range(len(body))]
    tried += [body[:at] + bytes((byte,)) + body[at + 1:]
              for at in range(len(body)) for byte in (0, 1, 3, 35, 43, 47, 64, 255)]
    world = World()
    for number, changed in enumerate(tried):
        client = world.connect(b"%d" % number, version)
        request = close_packet(first, changed)
        try:
            wanted = (packets.decode_subscribe if first >> 4 == 8 else packets.decode_unsubscribe)(request, version)
        except WireError:
            wanted = None
        status = client.send(request)
        if wanted is None or any(packets.is_shared(getattr(one, "text", one)) for one in wanted.filters):
            assert status == PARKED
            assert world.exchange.subscriptions(client.session) == 0
        else:
            assert status == OK
            answer = client.read()[1]                                               # behind the CONNACK
            assert answer[0] == (0x90 if first >> 4 == 8 else 0xB0)
            assert answer[2:4] == wanted.packet_id.to_bytes(2, "big")
            assert len(answer) == 4 + (version == 5) + len(wanted.filters) * (version == 5 or first >> 4 == 8)
    world.close()
