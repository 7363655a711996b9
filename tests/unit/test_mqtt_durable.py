"""Persistent sessions in the journal: whatever a life of the broker ends with, the next one begins with."""
from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from robustmq._fastpath.protocols.mqtt.packets import Filter, Will
from robustmq._fastpath.protocols.mqtt.records import Record, Records, decode, encode
from robustmq._fastpath.protocols.mqtt.service import wall_ms
from robustmq._fastpath.protocols.mqtt.sessions import NEVER, Session, Subscription
from tests.shims import shim_codec
from tests.unit.kafka.batches import ZSTD, batch
from tests.unit.mqtt_world import Client, World, ack, publish
from tests.unit.test_mqtt_service import World as ServiceWorld

PUBACK, PUBREC, PUBREL, PUBCOMP = 4, 5, 6, 7


def world_in(directory: Path, **how: object) -> World:
    return World(durability="process", directory=directory, **how)  # type: ignore[arg-type]


def keep(world: World, name: bytes, qos: int = 2, filter: str = "#", **options: object) -> Client:
    """A persistent session's client with one subscription, whose SUBACK came behind a snapshot."""
    client = world.connect(name, 5, persistent=True)
    world.protocol.session_keep(client.session)
    world.subscribe(client, qos, filter, **options)
    snapshot(world, client)
    return client


def snapshot(world: World, client: Client) -> None:
    async def wait() -> None:
        world.protocol.watch(asyncio.get_running_loop())
        saved = world.protocol.snapshot(client.session)
        while not saved.done():
            await asyncio.sleep(0)
            world.reactor.run()
            world.protocol.take_news()
    asyncio.run(wait())


def reborn(world: World, *clients: Client, options: dict[str, object] | None = None,
           connect: bool = True, sizes: dict[str, int] | None = None) -> tuple[World, list[Client]]:
    """The broker's next life, and the same sessions with new connections."""
    old = [(client, world.protocol.session_number(client.session)) for client in clients]
    world.close()
    after = world_in(world.directory, limits=world.limits, mappings=world.mappings, sizes=sizes or {})  # type: ignore[arg-type]
    after.exchange.restart_begin()
    addresses = []
    for client, number in old:
        address = after.protocol.session_restore(client.name, 0, number)
        for filter in client.filters:
            after.exchange.subscribe(address, filter, qos=2, **(options or {}))
        addresses.append(address)
    floors = []
    for address in addresses:
        unreadable, floor = after.protocol.session_replay(address)
        assert unreadable == 0
        floors.append(floor)
    after.protocol.restored()
    after.exchange.restart(min(floors))
    found = [Client(None, address, 5, client.name, after, client.filters)
             for (client, _), address in zip(old, addresses, strict=True)]
    if connect:
        found = [again(after, client) for client in found]
    return after, found


def again(world: World, client: Client) -> Client:
    """A new connection of the session."""
    one = world.connect(client.name, 5, session=client.session, persistent=True)
    one.filters = client.filters
    return one


def payloads(packets: list[bytes]) -> list[bytes]:
    """Of PUBLISH packets to topics of one letter, QoS above 0, without properties."""
    return [packet[8:] for packet in packets if packet[0] >> 4 == 3]


def sealed(raw: bytes) -> bytes:
    """With its CRC."""
    return raw[:17] + shim_codec.crc("hot", raw, 21).to_bytes(4, "big") + raw[21:]


def sent(client: Client) -> list[bytes]:
    return [packet for packet in client.read() if packet[0] != 0x20]


@pytest.mark.parametrize("when", [(), (0,), (1,), (2,), (3,), (0, 2), (1, 3)])
def test_window_and_queue(tmp_path: Path, when: tuple[int, ...]) -> None:
    """The same from events alone and with a snapshot at any moment, also a life later."""
    world = world_in(tmp_path)
    reader = keep(world, b"r")
    sent(reader)
    writer = world.connect(b"w", 5)
    steps = [
        lambda: writer.send(b"".join(publish("a", b"%d" % i, 1 + i % 2, i + 1, properties=b"") for i in range(6))),
        lambda: reader.send(ack(PUBACK, 3) + ack(PUBREC, 2) + ack(PUBREC, 4) + ack(PUBCOMP, 4)),
        lambda: (reader.link.close(), writer.send(publish("a", b"6", 2, 7, properties=b""))),
        lambda: None,
    ]
    for number, step in enumerate(steps):
        step()
        if number in when:
            snapshot(world, reader)
    for life in range(2):
        world, (reader,) = reborn(world, reader)
        assert sent(reader) == [
            publish("a", b"0", 1, 1, dup=True, properties=b""), ack(PUBREL, 2),
            publish("a", b"4", 1, 5, dup=True, properties=b""), publish("a", b"5", 2, 6, dup=True, properties=b""),
            publish("a", b"6", 2, 7, dup=life > 0, properties=b"")]
    world.close()


def test_identifiers_that_the_client_has_open(tmp_path: Path) -> None:
    """[MQTT-4.3.3-10] over two lives, with a snapshot in between."""
    world = world_in(tmp_path)
    writer = keep(world, b"w", filter="none")
    reader = keep(world, b"r")
    for id in (1, 2, 60, 65535):
        writer.send(publish("a", b"%d" % id, 2, id, properties=b""))
    writer.send(ack(PUBREL, 2))
    for _ in range(2):
        world, (writer, reader) = reborn(world, writer, reader)
        sent(writer)
        writer.send(publish("a", b"again", 2, 60, dup=True, properties=b"") + ack(PUBREL, 2))
        assert sorted(writer.read()) == [ack(PUBREC, 60), ack(PUBCOMP, 2, 0x92)]
        snapshot(world, writer)
    assert payloads(sent(reader)) == [b"1", b"2", b"60", b"65535"]
    world.close()


def test_many_identifiers_in_one_read(tmp_path: Path) -> None:
    """More, and further apart, than one entry can name."""
    world = world_in(tmp_path)
    writer = keep(world, b"w", filter="none")
    ids = [*range(1, 120), *range(500, 3000, 40)]
    writer.send(b"".join(publish("ab"[id % 2], b"x", 2, id, properties=b"") for id in ids))
    assert len(sent(writer)) == len(ids)
    world, (writer,) = reborn(world, writer)
    writer.send(b"".join(publish("a", b"x", 2, id, dup=True, properties=b"") for id in ids))
    assert world.counters()["duplicates_in"] == len(ids)
    world.close()


def test_events_outlive_their_segment(tmp_path: Path) -> None:
    """What lives is written again; the messages are in sealed files by then."""
    world = world_in(tmp_path)
    reader = keep(world, b"r", filter="a")
    writer = keep(world, b"w", filter="none")
    writer.send(publish("a", b"first", 2, 9, properties=b"") + publish("a", b"second", 1, 10, properties=b""))
    sent(reader)
    reader.send(ack(PUBREC, 1))
    reader.link.close()
    writer.send(publish("a", b"third", 1, 11, properties=b""))
    for i in range(40):
        writer.send(publish("b", bytes(200_000), 1, 12 + i, properties=b""))
    world.log.seal()
    start = world.log.stats()["wal"]["start"]
    assert start > 1 << 20
    world, (reader, writer) = reborn(world, reader, writer)
    assert sent(reader) == [
        ack(PUBREL, 1), publish("a", b"second", 1, 2, dup=True, properties=b""),
        publish("a", b"third", 1, 3, properties=b"")]
    writer.send(publish("a", b"first", 2, 9, dup=True, properties=b""))
    assert world.counters()["duplicates_in"] == 1
    world.close()


def test_compressed_batches(tmp_path: Path) -> None:
    """A message is named by its offset: where the batch has to be inflated, in flight and waiting."""
    world = world_in(tmp_path)
    reader = keep(world, b"r", 1, "a")
    world.topics.create("a")
    (stream,) = world.topics.find("a")["streams"]
    world.log.partition(stream).append(sealed(batch(0, [1, 2, 3], ZSTD, value=b"x" * 100)))
    reader.link.close()
    for connect in (False, True):
        world, (reader,) = reborn(world, reader, options={"retain_as_published": False}, connect=connect)
    assert payloads(sent(reader)) == [b"x" * 100] * 3
    world, (reader,) = reborn(world, reader)
    assert [packet[0] for packet in sent(reader)] == [0x3A] * 3
    world.close()


def test_folded_topics(tmp_path: Path) -> None:
    """Records of many MQTT topics in one partition."""
    world = world_in(tmp_path, mappings=(("f/#", "folded", 1, "topic"),))
    reader = keep(world, b"r", filter="f/1")
    writer = world.connect(b"w", 5)
    writer.send(b"".join(publish(f"f/{i % 2}", b"%d" % i, 2, i + 1, properties=b"") for i in range(6)))
    assert len(sent(reader)) == 3
    reader.send(ack(PUBREC, 2) + ack(PUBCOMP, 2))
    reader.link.close()
    writer.send(b"".join(publish(f"f/{i % 2}", b"%d" % i, 2, i + 1, properties=b"") for i in range(6, 10)))
    world, (reader,) = reborn(world, reader)
    assert [(packet[0] & 8, packet[4:9], packet[-1:]) for packet in sent(reader)] == [
        (8, b"f/1\0\1", b"1"), (8, b"f/1\0\3", b"5"), (0, b"f/1\0\4", b"7"), (0, b"f/1\0\5", b"9")]
    world.close()


def test_retained_messages(tmp_path: Path) -> None:
    """One in flight goes out again, as it is retained now."""
    world = world_in(tmp_path)
    world.connect(b"w", 5).send(publish("a", b"old", 1, 1, retain=True, properties=b""))
    reader = keep(world, b"r", 1, "a")
    world.exchange.replay(reader.session, "a", 1)
    world.reactor.run()
    assert sent(reader) == [publish("a", b"old", 1, 1, retain=True, properties=b"")]
    world, (reader,) = reborn(world, reader)
    assert sent(reader) == [publish("a", b"old", 1, 1, retain=True, dup=True, properties=b"")]
    world.close()


@pytest.mark.parametrize("seed", range(6))
def test_exactly_once_whatever_happens(tmp_path: Path, seed: int) -> None:
    """QoS 2 through random traffic, acknowledgements, absences, snapshots and lives, against a client of method A."""
    rng = random.Random(seed)
    world = world_in(tmp_path, limits={"max_queued": 10_000})
    reader = keep(world, b"r")
    writer = world.connect(b"w", 5)
    count, online = 0, True
    got: list[bytes] = []
    open_ids: dict[int, bytes] = {}
    owed: list[bytes] = []

    def take() -> None:
        for packet in sent(reader) if online else []:
            if packet[0] >> 4 == 3:
                id = int.from_bytes(packet[5:7], "big")
                assert open_ids.setdefault(id, packet[8:]) == packet[8:]
                if not packet[0] & 8 or packet[8:] not in got:
                    got.append(packet[8:])
                owed.append(ack(PUBREC, id))
            elif packet[0] >> 4 == 6:
                id = int.from_bytes(packet[2:4], "big")
                open_ids.pop(id, None)
                owed.append(ack(PUBCOMP, id))

    for _ in range(120):
        match rng.choice(["publish", "publish", "ack", "ack", "ack", "leave", "come", "snapshot", "die"]):
            case "publish":
                n = rng.randrange(1, 12)
                writer.send(b"".join(publish("a", b"%d" % i, 2, i % 65535 + 1, properties=b"")
                                     for i in range(count, count + n)))
                writer.send(b"".join(ack(PUBREL, i % 65535 + 1) for i in range(count, count + n)))
                writer.read()
                count += n
            case "ack" if online and owed:
                n = rng.randrange(1, len(owed) + 1)
                reader.send(b"".join(owed[:n]))
                del owed[:n]
            case "leave" if online:
                reader.link.close()
                online, owed = False, []
            case "come" if not online:
                reader = again(world, reader)
                online = True
            case "snapshot":
                snapshot(world, reader)
            case "die":
                world, (reader,) = reborn(world, reader)
                writer = world.connect(b"w", 5)
                online, owed = True, []
        take()
    if not online:
        reader = again(world, reader)
        online = True
    take()
    while owed:
        reader.send(b"".join(owed))
        owed.clear()
        take()
    assert [int(one) for one in got] == list(range(count))
    world.close()


def test_an_ended_session_leaves_nothing(tmp_path: Path) -> None:
    world = world_in(tmp_path)
    reader = keep(world, b"r")
    number = world.protocol.session_number(reader.session)
    world.connect(b"w", 5).send(publish("a", b"x", 2, 1, properties=b""))
    world.end(reader, 0)
    world.close()
    world = world_in(tmp_path)
    world.protocol.restored()
    world.exchange.restart_begin()
    address = world.protocol.session_restore(b"r", 0, number)
    assert world.protocol.session_replay(address) == (0, 0)
    again = world.connect(b"r", 5, session=address, persistent=True)
    assert sent(again) == []
    world.exchange.restart(0)
    world.close()


# --- the control plane's half -----------------------------------------------------------------------------------------

WHOLE = Record("ü", 1 << 40 | 7, NEVER, 1_700_000_000_000, Will("w/t", b"\0gone", 2, True, {"will_delay": 9}), [
    Subscription(Filter("a/+", 2, True, True, 2), 77), Subscription(Filter("$share/g/#", 1), 0)])


def test_a_record_reads_as_it_was_written() -> None:
    assert decode("ü", encode(WHOLE)) == WHOLE


@pytest.mark.parametrize("cut", [0, 1, 8, 20, 30, 40])
def test_a_record_that_is_damaged(cut: int) -> None:
    """Never half a session."""
    with pytest.raises(ValueError, match="cannot be read"):
        decode("ü", encode(WHOLE)[:cut])


def test_a_record_of_another_version() -> None:
    with pytest.raises(ValueError, match="has format 2; this broker reads 1"):
        decode("ü", b"\2" + encode(WHOLE)[1:])


class Table:
    """A state table without a log."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def state_items(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return [(key, value) for key, value in self.values.items() if key.startswith(prefix)]

    def state_put(self, key: bytes, value: bytes | None) -> int:
        self.values.pop(key, None)
        if value is not None:
            self.values[key] = value
        return 1

    async def durable(self, position: int) -> None:
        pass


def test_no_life_uses_the_numbers_of_another() -> None:
    records = Records(Table(), wait=False)
    assert [records.begin_life() >> 40 for _ in range(3)] == [1, 2, 3]


def test_expiry_and_will_go_by_the_wall_clock() -> None:
    """What was due while the broker was away happens at once, the rest after what is left of it."""
    async def test() -> None:
        world = ServiceWorld()
        ago_ms = wall_ms() - 100_000
        will = Will("w", b"gone", 0, False, {"will_delay": 50})
        world.service.adopt([
            Session("over", 1, 0, expiry_s=90, away_ms=ago_ms, pending_will=will),
            Session("due", 2, 0, expiry_s=NEVER, away_ms=ago_ms, pending_will=will),
            Session("later", 3, 0, expiry_s=200, away_ms=ago_ms),
            Session("killed", 4, 0, expiry_s=90, away_ms=0)])
        await asyncio.sleep(0.01)
        assert sorted(str(one["client_id"]) for one in world.service.clients()) == ["due", "killed", "later"]
        assert world.fakes.ended == [(1, 0)]
        assert len(world.fakes.published) == 2
    asyncio.run(test())
