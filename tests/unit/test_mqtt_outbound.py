"""Delivery: QoS, window, queue, redelivery, properties, limits of the client."""
import time

from tests.shims.mqtt_link import FakeLink
from tests.unit.mqtt_world import ATTACH, CONNACK, PARKED, TAKEN_OVER, World, ack, publish, split


def pair(version: int = 4, qos: int = 0, route: dict[str, object] | None = None, **connect: object):
    """A world, a subscriber and a publisher of version 5, both with their CONNACK read."""
    limits = connect.pop("limits", {})
    world = World(limits=limits)
    reader = world.connect(b"reader", version, **connect)
    world.subscribe(reader, qos, **(route or {}))
    writer = world.connect(b"writer", 5)
    reader.read(), writer.read()
    return world, reader, writer


def test_qos_is_the_lower_of_both() -> None:
    """[MQTT-3.8.4-8]"""
    for granted in range(3):
        _, reader, writer = pair(qos=granted)
        writer.send(publish("a", b"0", properties=b"") + publish("a", b"1", 1, 1, properties=b"")
                    + publish("a", b"2", 2, 2, properties=b""))
        got = reader.read()
        assert [packet[0] >> 1 & 3 for packet in got] == [min(granted, qos) for qos in range(3)]


def test_shared_run_is_the_same_for_all() -> None:
    """Many subscribers, both versions, small and large runs: the same messages."""
    for size in (1, 10, 600, 3000):
        world = World()
        readers = [world.connect(b"r%d" % i, 4 if i % 2 else 5) for i in range(6)]
        for reader in readers:
            world.subscribe(reader)
            reader.read()
        writer = world.connect(b"w")
        writer.send(b"".join(publish("a/b", bytes([i]) * size) for i in range(5)))
        for i, reader in enumerate(readers):
            want = [publish("a/b", bytes([n]) * size, properties=None if i % 2 else b"") for n in range(5)]
            assert reader.read() == want
        assert world.counters()["messages_out_qos0"] == 30


def test_publish_properties_travel() -> None:
    """[MQTT-3.3.2-15 to -18] format, content type, response topic, correlation, user properties in order."""
    _, reader, writer = pair(5)
    properties = (bytes.fromhex("0101") + b"\x03\0\2ct" + b"\x08\0\2rt" + b"\x09\0\2\0\xff" + b"\x26\0\1k\0\1v"
                  + b"\x26\0\1k\0\1w" + b"\x26\0\x06mqtt.x\0\1y")
    writer.send(publish("a", b"p", properties=properties))
    assert reader.read() == [publish("a", b"p", properties=properties)]


def test_a_client_of_311_gets_no_properties() -> None:
    _, reader, writer = pair(4)
    writer.send(publish("a", b"p", properties=b"\x03\0\2ct"))
    assert reader.read() == [publish("a", b"p")]


def test_subscription_identifiers() -> None:
    """[MQTT-3.3.4-3] all of them, in the live delivery and from the queue."""
    world, reader, writer = pair(5, 1, {"identifier": 300}, window=1)
    world.subscribe(reader, 1, "a", identifier=3)
    writer.send(publish("a", b"1", 1, 1, properties=b"") + publish("a", b"2", 1, 2, properties=b""))
    ids = b"\x0b\x03", b"\x0b\xac\x02"
    first = reader.read()
    assert first in ([publish("a", b"1", 1, 1, properties=ids[0] + ids[1])],
                     [publish("a", b"1", 1, 1, properties=ids[1] + ids[0])])
    reader.send(ack(4, 1))
    assert reader.read()[0][-7:-1] == first[0][-7:-1]


def test_no_local() -> None:
    """[MQTT-3.8.3-3]"""
    world = World()
    client = world.connect(version=5)
    other = world.connect(b"other", 5)
    world.subscribe(client, no_local=True)
    client.read(), other.read()
    client.send(publish("a", b"own", properties=b""))
    other.send(publish("a", b"other", properties=b""))
    assert client.read() == [publish("a", b"other", properties=b"")]


def test_retain_as_published() -> None:
    """[MQTT-3.3.1-12, -13]"""
    for rap in (0, 1):
        _, reader, writer = pair(5, 1, {"retain_as_published": rap})
        writer.send(publish("a", b"1", retain=True, properties=b"")
                    + publish("a", b"2", 1, 1, retain=True, properties=b""))
        assert [packet[0] & 1 for packet in reader.read()] == [rap, rap]


def test_window_and_queue() -> None:
    """QoS 1 beyond the receive maximum waits; acknowledgements in any order move the window; order is kept."""
    world, reader, writer = pair(4, 1, window=4)
    writer.send(b"".join(publish("a", b"%d" % i, 1, i + 1, properties=b"") for i in range(20)))
    assert reader.read() == [publish("a", b"%d" % i, 1, i + 1) for i in range(4)]
    assert world.counters()["queued"] == 16
    assert world.counters()["inflight"] == 4
    reader.send(ack(4, 2) + ack(4, 3))
    assert reader.read() == [publish("a", b"%d" % i, 1, i + 1) for i in range(4, 6)]
    reader.send(ack(4, 1))
    reader.send(ack(4, 4) + ack(4, 5) + ack(4, 6))
    got = reader.read()
    while got[-1] != publish("a", b"19", 1, 20):
        for packet in got[-4:]:
            reader.send(ack(4, packet[5] << 8 | packet[6]) if packet[1] < 128 else b"")
        got += reader.read()
    assert got == [publish("a", b"%d" % i, 1, i + 1) for i in range(6, 20)]


def test_qos0_waits_behind_the_queue() -> None:
    """[MQTT-4.6.0-5] what comes after a queued message stays after it."""
    _, reader, writer = pair(4, 1, window=1)
    writer.send(publish("a", b"1", 1, 1, properties=b"") + publish("a", b"2", 1, 2, properties=b"")
                + publish("a", b"3", properties=b""))
    assert reader.read() == [publish("a", b"1", 1, 1)]
    reader.send(ack(4, 1))
    assert reader.read() == [publish("a", b"2", 1, 2), publish("a", b"3")]


def test_packet_identifiers_wrap() -> None:
    """1..65535, never 0, never one that is in flight."""
    _, reader, writer = pair(4, 1, window=7)
    last = 0
    for _ in range(70_000 // 7):
        writer.send(b"".join(publish("a", b"x", 1, n + 1, properties=b"") for n in range(7)))
        for packet in reader.read():
            packet_id = packet[5] << 8 | packet[6]
            assert packet_id == last % 65535 + 1
            last = packet_id
            reader.send(ack(4, packet_id))
        writer.link.take()


def test_qos2_out() -> None:
    """PUBLISH, PUBREC, PUBREL, PUBCOMP; a PUBREC that comes again gets its PUBREL again."""
    world, reader, writer = pair(4, 2)
    writer.send(publish("a", b"x", 2, 5, properties=b""))
    assert reader.read() == [publish("a", b"x", 2, 1)]
    reader.send(ack(5, 1) + ack(5, 1))
    assert reader.read() == [ack(6, 1), ack(6, 1)]
    reader.send(ack(7, 1))
    assert world.counters()["inflight"] == 0
    reader.send(ack(5, 1))
    assert reader.read() == [ack(6, 1)]


def test_pubrec_with_an_error_ends_it() -> None:
    """[MQTT-4.13.2] a reason of 0x80 or more frees the identifier."""
    world, reader, writer = pair(5, 2)
    writer.send(publish("a", b"x", 2, 5, properties=b""))
    reader.read()
    reader.send(ack(5, 1, 0x97))
    assert reader.read() == []
    assert world.counters()["inflight"] == 0


def test_redelivery() -> None:
    """[MQTT-4.4.0-1] what is open goes out again on the next connection: DUP, the same identifier, the same order."""
    world, reader, writer = pair(4, 2, persistent=True)
    writer.send(publish("a", b"1", 1, 1, properties=b"") + publish("a", b"2", 2, 2, properties=b"")
                + publish("a", b"3", 2, 3, properties=b"") + publish("a", b"4", 1, 4, properties=b""))
    assert len(reader.read()) == 4
    reader.send(ack(5, 2) + ack(4, 4))
    reader.link.close()
    writer.send(publish("a", b"5", 1, 5, properties=b"") + publish("a", b"6", properties=b""))
    again = world.connect(b"reader", 4, session=reader.session, persistent=True)
    assert again.read()[1:] == [publish("a", b"1", 1, 1, dup=True), ack(6, 2), publish("a", b"3", 2, 3, dup=True),
                                publish("a", b"5", 1, 5)]
    assert world.counters()["redelivered"] == 2
    assert world.counters()["dropped_offline"] == 1


def test_redelivery_within_a_smaller_window() -> None:
    """The new connection's receive maximum counts for what goes out again, too."""
    world, reader, writer = pair(5, 1, persistent=True, window=10)
    writer.send(b"".join(publish("a", b"%d" % i, 1, i + 1, properties=b"") for i in range(5)))
    reader.link.close()
    again = world.connect(b"reader", 5, session=reader.session, persistent=True, window=2)
    got = again.read()[1:]
    assert got == [publish("a", b"%d" % i, 1, i + 1, dup=True, properties=b"") for i in range(2)]
    again.send(ack(4, 2))
    assert again.read() == [publish("a", b"2", 1, 3, dup=True, properties=b"")]
    again.send(ack(4, 1) + ack(4, 3))
    assert len(again.read()) == 2


def test_queue_is_bounded() -> None:
    """mqtt.max_queued; the newest is dropped and counted with its reason; QoS 0 is not kept for the absent."""
    world, reader, writer = pair(4, 1, persistent=True, limits={"max_queued": 10})
    reader.link.close()
    writer.send(b"".join(publish("a", b"%d" % i, 1, i + 1, properties=b"") for i in range(15)))
    writer.send(publish("a", b"zero", properties=b""))
    counters = world.counters()
    assert (counters["queued"], counters["dropped_queue_full"], counters["dropped_offline"]) == (10, 5, 1)
    again = world.connect(b"reader", session=reader.session, persistent=True)
    assert again.read()[1:] == [publish("a", b"%d" % i, 1, i + 1) for i in range(10)]
    assert world.counters()["queued"] == 0


def test_slow_client() -> None:
    """Above the high-water mark messages queue as positions; QoS 0 fills half of the queue; draining sends it on."""
    world, reader, writer = pair(4, 1, limits={"max_queued": 10, "high_water_bytes": 1000})
    for i in range(20):
        writer.send(publish("a", bytes([i]) * 200, properties=b""))
    counters = world.counters()
    assert counters["queued"] == 5
    assert counters["dropped_slow_client"] == 20 - 5 - counters["messages_out_qos0"]
    writer.send(b"".join(publish("a", b"%d" % i, 1, i + 1, properties=b"") for i in range(7)))
    assert world.counters()["dropped_queue_full"] == 2
    sent = reader.read()
    while world.counters()["queued"]:
        reader.link.drained()
        sent += reader.read()
    assert len(sent) == counters["messages_out_qos0"] + 10
    assert world.counters()["queued"] == 0


def test_large_payload_is_referenced() -> None:
    """Above 1 KiB the payload is not copied; the bytes are the same."""
    _, reader, writer = pair(5, 2)
    payload = bytes(range(256)) * 400
    writer.send(publish("a", payload, properties=b"") + publish("a", payload, 1, 1, properties=b""))
    assert reader.read() == [publish("a", payload, properties=b""), publish("a", payload, 1, 1, properties=b"")]


def test_expiry() -> None:
    """[MQTT-3.3.2-5, -6] the rest of the interval goes out; an expired message does not."""
    world, reader, writer = pair(5, 1, persistent=True)
    reader.link.close()
    writer.send(publish("a", b"1", 1, 1, properties=b"\x02\0\0\0\1")
                + publish("a", b"2", 1, 2, properties=b"\x02\0\0\0\x0a"))
    time.sleep(1.1)
    again = world.connect(b"reader", 5, session=reader.session, persistent=True)
    assert again.read()[1:] == [publish("a", b"2", 1, 1, properties=b"\x02\0\0\0\x09")]
    assert world.counters()["dropped_expired"] == 1


def test_maximum_packet_size() -> None:
    """[MQTT-3.1.2-25] what is too large for the client is dropped and counted; the identifier is not used up."""
    world, reader, writer = pair(5, 1, max_packet_out=50)
    writer.send(publish("a", b"x" * 60, 1, 1, properties=b"") + publish("a", b"x" * 60, properties=b"")
                + publish("a", b"small", 1, 2, properties=b""))
    assert reader.read() == [publish("a", b"small", 1, 1, properties=b"")]
    assert world.counters()["dropped_too_large"] == 2
    assert world.counters()["inflight"] == 1


def test_alias_out() -> None:
    """The client's topic alias maximum: name and alias first, the alias alone after it, no alias beyond it."""
    _, reader, writer = pair(5, 1, aliases=1)
    for i, topic in enumerate(("a", "a", "b", "a")):
        writer.send(publish(topic, b"%d" % i, i % 2, i, properties=b""))
    alias = b"\x23\0\1"
    assert reader.read() == [publish("a", b"0", properties=alias), publish("", b"1", 1, 1, properties=alias),
                             publish("b", b"2", properties=b""), publish("", b"3", 1, 2, properties=alias)]


def test_take_over() -> None:
    """[MQTT-3.1.4-3] the older connection hears 0x8E and closes; the newer one has the session."""
    world, reader, writer = pair(5, 1, persistent=True)
    writer.send(publish("a", b"1", 1, 1, properties=b""))
    reader.read()
    newer = world.connect(b"reader", 5, session=reader.session, persistent=True)
    assert reader.link.closed == TAKEN_OVER
    assert reader.read() == [bytes.fromhex("e0018e")]
    assert newer.read()[1:] == [publish("a", b"1", 1, 1, dup=True, properties=b"")]
    reader.link.close(TAKEN_OVER)
    writer.send(publish("a", b"2", 1, 2, properties=b""))
    assert newer.read() == [publish("a", b"2", 1, 2, properties=b"")]


def test_take_over_by_one_that_was_on_its_way() -> None:
    """A link that came from another reactor, behind one that connected later, is the older one [MQTT-3.1.4-3]."""
    world = World()
    latest = world.connect(b"r", persistent=True, order=2)
    world.subscribe(latest)
    latest.read()
    link = FakeLink(world.protocol, world.reactor, 9)
    assert link.feed(bytes.fromhex("101000044d51545404020000000474657374")) == PARKED
    earlier = world.protocol.attach_payload(CONNACK, version=4, keep_alive_ms=0, max_packet_out=1 << 28, send_maximum=1,
                                            alias_out_max=0, persistent=True, order=1)
    assert link.answer(ATTACH, earlier, latest.session) == TAKEN_OVER
    assert link.take() == b""
    world.connect(b"p").send(publish("t", b"x"))
    assert latest.link.closed is None
    assert len(latest.read()) == 1
    world.close()


def test_end() -> None:
    """session_end: the connection is told why, window and queue are given back."""
    world, reader, writer = pair(5, 1, window=1)
    writer.send(publish("a", b"1", 1, 1, properties=b"") + publish("a", b"2", 1, 2, properties=b""))
    reader.read()
    world.end(reader, 0x98)
    assert reader.read() == [bytes.fromhex("e00198")]
    assert reader.link.closed is not None
    counters = world.counters()
    assert (counters["queued"], counters["inflight"], counters["connected"]) == (0, 0, 1)


def test_kafka_record_crosses() -> None:
    """A will (or any frame of the control plane) takes the same path as a client's PUBLISH."""
    world, reader, _ = pair(5, 1)
    assert world.protocol.publish(publish("w", b"gone", 1, 1, properties=b"\x26\0\1k\0\1v")) == 0
    world.reactor.run()
    assert reader.read() == [publish("w", b"gone", 1, 1, properties=b"\x26\0\1k\0\1v")]
    assert world.protocol.publish(publish("w/#", b"", properties=b"")) == 23


def test_split_helper() -> None:
    assert split(publish("a", b"x" * 200) + b"\xd0\0") == [publish("a", b"x" * 200), b"\xd0\0"]
