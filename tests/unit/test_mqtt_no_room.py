"""A journal without room for now: nothing is acknowledged that is not stored, and nothing is refused that will be."""
from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from tests.full import SMALL, Full
from tests.unit.mqtt_world import OK, PARKED, Client, World, ack, publish
from tests.unit.test_mqtt_durable import again, keep, payloads, reborn, sent, snapshot

PUBACK, PUBREC, PUBREL, PUBCOMP = 4, 5, 6, 7
STORE_FULL = 48


def small(path: Path, durability: str = "process") -> World:
    return World(durability=durability, directory=path, sizes=SMALL, limits={"max_queued": 10_000})


def what_a_kill_leaves(world: World) -> Path:
    """A copy of the data directory as it is now, the journal first: what leaves it is in the rest."""
    assert world.directory is not None
    copy = world.directory.with_name(world.directory.name + "+")
    shutil.copytree(world.directory / "journal", copy / "journal")
    shutil.copytree(world.directory, copy, ignore=lambda path, names: {"journal"} & set(names), dirs_exist_ok=True)
    return copy


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("topics", [False, True], ids=["new", "old"])
def test_messages_wait_for_room(tmp_path: Path, version: int, topics: bool) -> None:
    world = small(tmp_path)
    properties = b"" if version == 5 else None
    reader, writer = world.connect(b"r", version), world.connect(b"w", version)
    world.subscribe(reader, 2, "+")
    sent(reader), sent(writer)
    first = publish("a", b"0", 0, properties=properties) + publish("b", b"1", 1, 1, properties=properties)
    later = publish("a", b"2", 2, 2, properties=properties) + bytes.fromhex("c000")
    if topics:
        world.topics.create("a"), world.topics.create("b")
    with Full(world.log):
        assert writer.send(first) == PARKED
        assert writer.send(later) == PARKED
        assert writer.link.waits_room and not sent(writer) and writer.link.closed is None
        writer.link.room()
        assert writer.link.waits_room, "there is none yet"
    assert writer.link.room() == OK
    world.reactor.run()
    answers = sent(writer)
    answers.remove(bytes.fromhex("d000"))               # its turn is not the others'
    assert answers == [ack(PUBACK, 1), ack(PUBREC, 2)]
    assert sorted(packet[-1:] for packet in sent(reader)) == [b"0", b"1", b"2"]
    assert world.counters()["dropped_unpublishable"] == 0
    world.close()


def test_others_of_the_reactor_do_not_mix_with_what_waits(tmp_path: Path) -> None:
    world = small(tmp_path)
    writers = [world.connect(b"%d" % i, 5) for i in range(3)]
    reader = world.connect(b"r", 5)
    world.subscribe(reader, 1, "a")
    world.topics.create("a")
    with Full(world.log):
        for i, writer in enumerate(writers):
            writer.read()
            assert writer.send(publish("a", b"%d" % i, 1, i + 1, retain=True, properties=b"")) == PARKED
        writers[1].link.close()                         # what it sent was not acknowledged
    for writer in writers[::2]:
        assert writer.link.room() == OK
    world.reactor.run()
    assert [sent(writer) for writer in writers[::2]] == [[ack(PUBACK, 1)], [ack(PUBACK, 3)]]
    assert [packet[-1:] for packet in sent(reader)] == [b"0", b"2"]
    assert world.counters()["dropped_unpublishable"] == 1
    late = world.connect(b"late", 5)
    world.exchange.replay(late.session, "a", 0)
    world.reactor.run()
    assert [packet[-1:] for packet in sent(late)] == [b"2"]
    world.close()


def test_a_topic_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    world = small(tmp_path)
    writer = world.connect(b"w", 5)
    writer.send(publish("a", b"0", 1, 1, properties=b""))
    sent(writer)
    with Full(world.log):
        assert writer.send(publish("a", b"1", 1, 2, retain=True, properties=b"")) == PARKED
    world.topics.delete("a")
    assert writer.link.room() == OK
    assert sent(writer) == [ack(PUBACK, 2, 0x90)]
    world.close()


def test_an_identifier_is_free_when_the_journal_says_so(tmp_path: Path) -> None:
    """The broker dies without room: who was not told PUBCOMP keeps the identifier."""
    world = small(tmp_path)
    writer = keep(world, b"w", filter="none")
    writer.send(publish("a", b"first", 2, 7, properties=b""))
    assert ack(PUBREC, 7) in sent(writer)
    with Full(world.log):
        writer.send(ack(PUBREL, 7))
        assert not sent(writer) and writer.link.closed == STORE_FULL
        left = what_a_kill_leaves(world)
    world.directory = left
    world, (writer,) = reborn(world, writer)
    writer.send(publish("a", b"first", 2, 7, dup=True, properties=b"") + ack(PUBREL, 7))
    assert sent(writer) == [ack(PUBREC, 7), ack(PUBCOMP, 7)]
    assert world.counters()["duplicates_in"] == 1
    writer.send(publish("a", b"second", 2, 7, properties=b""))
    assert world.counters()["duplicates_in"] == 1
    world.close()


def test_what_was_kept_is_written_before_the_next_connection(tmp_path: Path) -> None:
    world = small(tmp_path)
    writer, reader = keep(world, b"w", filter="none"), keep(world, b"r", filter="a")
    writer.send(publish("a", b"first", 2, 7, properties=b"") + publish("a", b"second", 2, 8, properties=b""))
    sent(writer), sent(reader)
    with Full(world.log):
        writer.send(ack(PUBREL, 7))
        reader.send(ack(PUBREC, 1) + ack(PUBREC, 2) + ack(PUBCOMP, 2))
        assert not sent(writer) and not sent(reader)
        assert writer.link.closed == reader.link.closed == STORE_FULL
        for client in (writer, reader):
            client.link.close()
            with pytest.raises(AssertionError):
                again(world, client)                    # refused: its events have no room yet
    writer, reader = again(world, writer), again(world, reader)
    assert sent(reader) == [ack(PUBREL, 1)]
    writer.send(ack(PUBREL, 8))
    assert sent(writer) == [ack(PUBCOMP, 8)]
    assert world.counters()["events_lost"] == 0
    world, (writer, reader) = reborn(world, writer, reader)
    assert sent(reader) == [ack(PUBREL, 1)]
    writer.send(publish("a", b"third", 2, 7, properties=b"") + publish("a", b"fourth", 2, 8, properties=b""))
    assert world.counters()["duplicates_in"] == 0
    world.close()


def test_a_snapshot_knows_nothing_of_what_waits(tmp_path: Path) -> None:
    """There is room for the one, not for the other: a restart must not take the message for stored."""
    world = small(tmp_path)
    writer = keep(world, b"w", filter="none")
    world.topics.create("a")
    message = publish("a", bytes(100_000), 2, 9, properties=b"")
    with Full(world.log, sizes=(200_000,)):
        assert writer.send(message) == PARKED
        snapshot(world, writer)
        left = what_a_kill_leaves(world)
    assert writer.link.room() == OK
    assert ack(PUBREC, 9) in sent(writer)
    world.directory = left
    world, (writer,) = reborn(world, writer)
    writer.send(message)
    assert world.counters()["duplicates_in"] == 0 and world.counters()["messages_in_qos2"] == 1
    world.close()


def test_nothing_goes_out_that_a_restart_would_not_know(tmp_path: Path) -> None:
    """A message in flight under an identifier that no event names would be sent under another one after a crash."""
    world = small(tmp_path)
    reader, writer = keep(world, b"r", filter="a"), world.connect(b"w", 5)
    reader.link.close()
    writer.send(b"".join(publish("a", b"%d" % i, 2, i + 1, properties=b"") for i in range(3)))
    with Full(world.log):
        reader = again(world, reader)
        assert not sent(reader) and reader.link.closed == STORE_FULL
        left = what_a_kill_leaves(world)
    world.directory = left
    world, (reader,) = reborn(world, reader)
    assert payloads(sent(reader)) == [b"0", b"1", b"2"]
    world.close()


def test_a_queue_that_is_written_later(tmp_path: Path) -> None:
    """Shares of a group that came while there was no room belong to their member all the same."""
    world = small(tmp_path)
    members = [keep(world, b"%d" % i, 1, "$share/g/a") for i in range(2)]
    writer = world.connect(b"w", 5)
    for member in members:
        member.link.close()
    stored = b"".join(publish("a", b"%d" % i, 1, i + 1, properties=b"") for i in range(6))
    writer.link.feed(stored)                            # nobody has seen them yet
    with Full(world.log):
        world.reactor.run()
    for member in members:
        snapshot(world, member)
    world, members = reborn(world, *members)
    got = [payloads(sent(member)) for member in members]
    assert sorted(got[0] + got[1]) == [b"%d" % i for i in range(6)] and len(got[0]) == 3
    world.close()


def test_a_full_disk_frees_no_identifier(tmp_path: Path) -> None:
    """It has no words for that: the connection ends, as often as it tries."""
    world = small(tmp_path, "disk")
    writer = keep(world, b"w", filter="none")
    writer.send(publish("a", b"first", 2, 7, properties=b""))
    writer.link.synced(world.log.stats()["wal"]["tail"])
    sent(writer)
    fail_as_full(world)
    for _ in range(2):
        assert writer.send(ack(PUBREL, 7)) == STORE_FULL
        assert [packet[0] >> 4 for packet in sent(writer)] == [14]
        writer = again(world, writer)
        sent(writer)
    world.close()


def test_a_will_is_published_later(tmp_path: Path) -> None:
    async def test() -> None:
        world = small(tmp_path)
        reader = world.connect(b"r", 5)
        world.subscribe(reader, 1, "w")
        world.topics.create("w")
        world.protocol.watch(asyncio.get_running_loop())
        will = publish("w", b"gone", 1, 1, properties=b"")
        room = asyncio.Event()
        with Full(world.log):
            assert world.protocol.publish(will) == STORE_FULL
            assert world.protocol.await_room(room.set)
            await asyncio.sleep(0)
            assert not room.is_set()
        async with asyncio.timeout(20):
            await room.wait()
        assert world.protocol.publish(will) == OK
        world.reactor.run()
        assert payloads(sent(reader)) == [b"gone"]
        fail_as_full(world)
        assert world.protocol.publish(will) == STORE_FULL
        assert not world.protocol.await_room(room.set)
        world.close()
    asyncio.run(test())


def fail_as_full(world: World) -> None:
    from tests.shims import store
    store.fail(world.log, STORE_FULL)


def test_pubcomp_waits_for_the_disk(tmp_path: Path) -> None:
    """A client that reuses an identifier which a restart still knows would lose its message."""
    world = small(tmp_path, "disk")
    writer = keep(world, b"w", filter="none")
    writer.send(publish("a", b"first", 2, 7, properties=b""))
    assert not sent(writer)
    writer.link.synced(writer.link.awaited)
    assert sent(writer) == [ack(PUBREC, 7)]
    world.log.sync()
    before = world.log.durable
    writer.send(ack(PUBREL, 7))
    assert not sent(writer) and writer.link.awaited > before
    writer.link.synced(before)
    assert not sent(writer)
    position = writer.link.awaited
    writer.link.close()                                 # the answer is lost: it asks again, and waits again
    writer = again(world, writer)
    sent(writer)
    writer.send(ack(PUBREL, 7))
    assert not sent(writer) and writer.link.awaited == position
    writer.link.synced(position)
    assert [packet[:4] for packet in sent(writer)] == [ack(PUBCOMP, 7)[:1] + b"\x03" + ack(PUBCOMP, 7)[2:4]]
    world.close()


@pytest.mark.parametrize("seed", range(3))
def test_exactly_once_with_and_without_room(tmp_path: Path, seed: int) -> None:
    """QoS 2 from a client of method A to another through lives, some of which end without room."""
    rng = random.Random(seed)
    world = small(tmp_path)
    writer, reader = keep(world, b"w", filter="none"), keep(world, b"r", filter="a")
    count = 0
    unsent: dict[int, bytes] = {}                       # of the writer: not acknowledged; then released
    released: set[int] = set()
    opened: set[int] = set()                            # of the reader
    got: list[bytes] = []

    def turn(client: Client, out: list[bytes]) -> None:
        client.send(b"".join(out))

    def take(client: Client) -> list[bytes]:
        """Answers to what the broker has sent."""
        owed = []
        for packet in sent(client):
            kind = packet[0] >> 4
            if kind == 3:
                id = int.from_bytes(packet[5:7], "big")
                if id not in opened:
                    opened.add(id)
                    got.append(packet[8:])
                owed.append(ack(PUBREC, id))
            elif kind == PUBREL:
                id = int.from_bytes(packet[2:4], "big")
                opened.discard(id)
                owed.append(ack(PUBCOMP, id))
            elif kind == PUBREC:
                assert len(packet) == 4, "refused"
                id = int.from_bytes(packet[2:4], "big")
                unsent.pop(id, None)
                released.add(id)
                owed.append(ack(PUBREL, id))
            elif kind == PUBCOMP:
                released.discard(int.from_bytes(packet[2:4], "big"))
        return owed

    def resume(client: Client) -> Client:
        client.link.close()
        client = again(world, client)
        if client.name == b"w":
            turn(client, [publish("a", body, 2, id, dup=True, properties=b"") for id, body in unsent.items()]
                 + [ack(PUBREL, id) for id in released])
        return client

    def work(steps: int) -> None:
        nonlocal count
        for _ in range(steps):
            if rng.random() < 0.5 and writer.link.closed is None and not writer.link.waits_room:
                id = next((i for i in range(1, 9) if i not in unsent and i not in released), 0)
                if id:
                    unsent[id] = b"%d" % count
                    count += 1
                    turn(writer, [publish("a", unsent[id], 2, id, properties=b"")])
            for client in (writer, reader):
                if client.link.closed is None:
                    turn(client, take(client)[:rng.randrange(5)] if rng.random() < 0.2 else take(client))

    for life in range(6):
        work(rng.randrange(10))
        left = None
        with Full(world.log, f"filler{life}"):
            work(rng.randrange(8))
            if rng.random() < 0.5:
                left = what_a_kill_leaves(world)
        if left is not None:
            world.directory = left
            world, (writer, reader) = reborn(world, writer, reader, sizes=SMALL)
        elif writer.link.waits_room:
            assert writer.link.room() == OK
            world.reactor.run()
        writer, reader = resume(writer), resume(reader)
    for _ in range(30):
        work(1)
    while unsent or released or opened:
        writer, reader = resume(writer), resume(reader)
        for client in (writer, reader):
            turn(client, take(client))
    assert [int(one) for one in got] == list(range(count))
    assert world.counters()["events_lost"] == 0
    world.close()
