"""Bytes that nobody should send: every packet in every state, and mutated packets by the thousand."""
from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.shims.mqtt_link import FakeLink
from tests.unit.mqtt_world import NEED_MORE, OK, PARKED, PROTOCOL_ERROR, REPLY, World, ack, publish

VECTORS = [(version, bytes.fromhex(vector["hex"]))
           for version, folder in ((4, "mqtt311"), (5, "mqtt5"))
           for name in ("publish", "acks", "control")
           for vector in json.loads((Path(__file__).parents[1] / "spec" / folder / f"{name}.json").read_text())]
CONNECT = bytes.fromhex("100d00044d5154540402003c000161")
SHORTEST = {1: CONNECT, 3: publish("a", b""), 4: ack(4, 9), 5: ack(5, 9), 6: ack(6, 9), 7: ack(7, 9),
            8: bytes.fromhex("8206000a00016100"), 10: bytes.fromhex("a205000a000161"), 12: b"\xc0\0", 14: b"\xe0\0"}
# What an accepted client of 3.1.1 may send [MQTT-2.1.2]; all other types close the connection.
ANSWERS = {3: OK, 4: OK, 5: OK, 6: OK, 7: OK, 8: OK, 10: OK, 12: OK, 14: OK}


@pytest.mark.parametrize("packet", range(16))
def test_every_packet_in_every_state(packet: int) -> None:
    """Before CONNECT only CONNECT; then the table; after DISCONNECT nothing is read any more."""
    frame = SHORTEST.get(packet, bytes((packet << 4, 0)))
    world = World()
    first = FakeLink(world.protocol, world.reactor, 99, 0)
    assert first.feed(frame) == (PARKED if packet == 1 else PROTOCOL_ERROR)
    assert world.connect().send(frame) == ANSWERS.get(packet, PROTOCOL_ERROR)
    leaving = world.connect(b"leaving")
    leaving.send(b"\xe0\0")
    told = len(leaving.link.control)
    assert leaving.send(frame) == OK
    assert len(leaving.link.control) == told
    world.close()


def mutate(frame: bytes, dice: random.Random) -> bytes:
    """`frame` with a few bytes changed, cut out or put in; often with a length that fits again."""
    data = bytearray(frame)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data))
        how = dice.randrange(4)
        if how == 0:
            data[at] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
        elif how == 1:
            data[at:at] = dice.randbytes(dice.randint(1, 4))
        elif how == 2 and len(data) > 2:
            del data[at]
        else:
            data[at] ^= 1 << dice.randrange(8)
    if len(data) > 1 and dice.random() < 0.8 and len(data) < 130:
        data[1] = len(data) - 2
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_packets(seed: int) -> None:
    """Each ends in a status; the broker lives, and a client that behaves is served to the end."""
    dice = random.Random(seed)
    world = World(limits={"max_packet_size": 4096, "max_queued": 20})
    reader = world.connect(b"reader", 5, window=5)
    world.subscribe(reader, 2)
    good = world.connect(b"good")
    reader.read()
    good.read()
    sessions = []
    for i in range(1500):
        version, frame = dice.choice(VECTORS)
        client = world.connect(b"bad%d" % i, version, persistent=bool(i & 1), aliases=i % 3)
        sessions.append(client.session)
        world.subscribe(client, i % 3)
        for _ in range(4):
            status = client.send(mutate(frame, dice))
            if status == PARKED:
                client.link.answer(REPLY, b"")
            elif status not in (OK, NEED_MORE):
                break
            client.read()
        client.link.close()
        world.end(client, 0)
        for packet in reader.read():
            if packet[0] >> 4 == 3 and packet[0] & 6:
                reader.send(ack(4 if packet[0] & 4 == 0 else 5, int.from_bytes(packet[4:6], "big") or 1))
    good.read()
    assert good.send(publish("still/here", b"x", 1, 7)) == OK
    assert good.read() == [ack(4, 7)]
    world.end(reader, 0)
    world.end(good, 0)
    counters = world.counters()
    assert (counters["queued"], counters["inflight"], counters["connected"]) == (0, 0, 0)
    world.close()
