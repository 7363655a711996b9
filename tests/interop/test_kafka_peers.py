"""The clients that are not Python: Java, franz-go, kafkajs. Each writes what the others read, and reads in groups."""
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.conftest import Broker

from .peers import KAFKA_PEERS, Record, consume, produce

RECORDS = [
    Record(b"key", b"value"),
    Record(None, b"no key", [("one", b"1"), ("one", b"2"), ("empty", b"")]),
    Record(b"large", b"x" * 100_000),
    *(Record(b"k%d" % number, b"v%d" % number * 20, [("i", b"%d" % number)]) for number in range(200)),
]


def fresh() -> str:
    return f"peers-{uuid4().hex[:8]}"


@pytest.mark.parametrize(("writer", "codec"), [
    (name, codec) for name, (_, codecs) in KAFKA_PEERS.items() for codec in codecs])
def test_every_codec_of_every_writer(broker: Broker, writer: str, codec: str) -> None:
    """Every reader that knows the codec finds the writer's records."""
    topic = fresh()
    produce(writer, broker.bootstrap, topic, codec, RECORDS)
    for reader, (_, codecs) in KAFKA_PEERS.items():
        if codec in codecs:
            assert consume(reader, broker.bootstrap, topic, len(RECORDS)) == RECORDS, reader


@pytest.mark.parametrize("peer", KAFKA_PEERS)
def test_a_group_commits_where_it_stopped(broker: Broker, peer: str) -> None:
    topic, group = fresh(), f"g-{peer}-{uuid4().hex[:8]}"
    produce(peer, broker.bootstrap, topic, "none", RECORDS)
    assert consume(peer, broker.bootstrap, topic, len(RECORDS), group) == RECORDS
    other = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    try:
        assert other.committed([TopicPartition(topic, 0)], timeout=10)[0].offset == len(RECORDS)
    finally:
        other.close()


@pytest.mark.parametrize("peer", KAFKA_PEERS)
def test_tombstones(broker: Broker, peer: str) -> None:
    topic = fresh()
    records = [Record(b"a", b"1"), Record(b"a", None)]
    produce(peer, broker.bootstrap, topic, "none", records)
    assert consume(peer, broker.bootstrap, topic, 2) == records
