"""First corpora, from the vectors of the other tests."""
import json
from collections.abc import Iterator
from pathlib import Path

from tests.unit.kafka.rig import FETCH_VERSIONS, PRODUCE_VERSIONS, Rig, batch
from tests.unit.mqtt_world import CONNACK, World, ack, publish

SPEC = Path(__file__).parents[1] / "spec"


def batches() -> Iterator[bytes]:
    """Record batches, whole."""
    yield batch(b"value")
    yield batch(b"", None, b"x" * 300, key=None)
    yield batch(b"value", producer_id=7, producer_epoch=1, base_sequence=3)
    for codec in range(1, 6):
        yield batch(b"value", attributes=codec)


def frames() -> Iterator[bytes]:
    """A version byte, then a frame."""
    for folder, version in (("mqtt311", 4), ("mqtt5", 5)):
        for path in sorted((SPEC / folder).glob("*.json")):
            for vector in json.loads(path.read_text()):
                yield bytes((version - 3,)) + bytes.fromhex(vector["hex"])


def mqtt() -> Iterator[bytes]:
    """A cut byte, a session byte, then packets: each vector alone and behind a publication of every QoS."""
    for which in (0, 1):
        start = b"".join(publish("a/b", b"x", qos, qos, properties=b"" if which else None) for qos in range(3))
        for data in frames():
            yield bytes((0, which)) + data[1:]
            yield bytes((7, which)) + start + ack(6, 2) + ack(4, 1) + data[1:]


def kafka(rig: Rig) -> Iterator[bytes]:
    """A cut byte, then requests."""
    good = batch(b"a", b"b")
    for version in PRODUCE_VERSIONS:
        yield b"\0" + rig.produce(version, {"orders": {0: good, 1: good}, "absent": {0: good}})
        yield b"\x09" + rig.produce(version, {"safe": {0: good}}, acks=1) + rig.produce(version, {"safe": {0: good}})
    for version in FETCH_VERSIONS:
        yield b"\0" + rig.fetch(version, {"orders": {0: 0, 1: 0}, "absent": {0: 0}})
        yield b"\x11" + rig.fetch(version, {"orders": {1: 1 << 40}}) + rig.fetch(version, {"orders": {1: 0}})
        yield b"\0" + rig.fetch(version, {"waits": {0: 0}}, max_wait_ms=100)
    yield b"\0\0\0\0\x0a\0\x12\0\x03\0\0\0\x01\xff\xff"
    yield b"\0\0\0\0\x0a\0\x03\0\x0c\0\0\0\x01\xff\xff"


def kafka_rig(directory: Path) -> Rig:
    """The broker behind the target `kafka`: one topic of each kind."""
    rig = Rig(directory)
    rig.topic("orders", partitions=2, durability="memory")
    rig.topic("safe", durability="disk")
    rig.topic("waits")
    rig.topic("table", compacted=True)
    return rig


def mqtt_world(directory: Path) -> tuple[World, list[tuple[int, bytes]]]:
    """The broker behind the target `mqtt`, and its sessions (3.1.1 and 5) with how their CONNECT is answered. Both get
    everything that either publishes."""
    world = World("disk", {"max_queued": 50}, directory)
    sessions = []
    for version in (4, 5):
        client = world.connect(b"fuzz%d" % version, version)
        world.subscribe(client, 2, "#")
        client.link.close()
        sessions.append((client.session, world.protocol.attach_payload(
            CONNACK, version=version, keep_alive_ms=0, max_packet_out=1 << 20, send_maximum=20, alias_out_max=5,
            persistent=True)))
    return world, sessions
