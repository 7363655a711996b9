"""Every codec, keys, headers and nulls, from real producers to real consumers."""
import asyncio
import subprocess
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaTopicPartition

from tests.conftest import Broker

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
RECORDS: list[Record] = [
    (b"key", b"value", []),
    (None, b"no key", [("one", b"1"), ("one", b"2"), ("empty", b"")]),
    (b"tombstone", None, []),
    (b"", b"", [("name", b"\x00\xff")]),
    (b"large", b"x" * 100_000, []),
    *((b"k%d" % i, b"v%d" % i * 20, [("i", b"%d" % i)]) for i in range(500)),
]


def by_confluent(broker: Broker, topic: str, codec: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "compression.type": codec, "acks": "all",
                         "linger.ms": 5, "enable.idempotence": True})
    failed: list[object] = []
    for key, value, headers in RECORDS:
        producer.produce(topic, value, key, 0, headers=headers,
                         on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(30) == 0
    assert failed == []


def by_kafka_python(broker: Broker, topic: str, codec: str) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", linger_ms=5,
                             compression_type=None if codec == "none" else codec)
    sent = [producer.send(topic, value, key, headers, 0) for key, value, headers in RECORDS]
    producer.flush(30)
    assert [one.get(10).offset for one in sent] == list(range(len(RECORDS)))
    producer.close()


def by_aiokafka(broker: Broker, topic: str, codec: str) -> None:
    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", linger_ms=5,
                                    compression_type=None if codec == "none" else codec) as producer:
            sent = [await producer.send(topic, value, key, 0, headers=headers) for key, value, headers in RECORDS]
            for one in sent:
                await one
    asyncio.run(produce())


def from_confluent(broker: Broker, topic: str) -> list[Record]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": f"g-{topic}", "check.crcs": True,
                         "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: list[Record] = []
    try:
        while len(found) < len(RECORDS):
            message = consumer.poll(20)
            assert message is not None, f"{len(found)} of {len(RECORDS)}"
            assert message.error() is None
            assert message.offset() == len(found)
            found.append((message.key(), message.value(), message.headers() or []))
    finally:
        consumer.close()
    return found


def from_kafka_python(broker: Broker, topic: str) -> list[Record]:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, consumer_timeout_ms=20_000)
    consumer.assign([KafkaTopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    found: list[Record] = []
    for message in consumer:
        assert message.offset == len(found)
        found.append((message.key, message.value, list(message.headers)))
        if len(found) == len(RECORDS):
            break
    consumer.close()
    return found


def from_aiokafka(broker: Broker, topic: str) -> list[Record]:
    async def consume() -> list[Record]:
        found: list[Record] = []
        async with AIOKafkaConsumer(topic, bootstrap_servers=broker.bootstrap,
                                    auto_offset_reset="earliest") as consumer:
            while len(found) < len(RECORDS):
                message = await asyncio.wait_for(consumer.getone(), 20)
                assert message.offset == len(found)
                found.append((message.key, message.value, list(message.headers)))
        return found
    return asyncio.run(consume())


@pytest.fixture(scope="module")
def written(broker: Broker) -> Iterator[dict[str, str]]:
    """topic -> how it was written: each producer with each codec, once."""
    how = {}
    for produce in (by_confluent, by_kafka_python, by_aiokafka):
        for codec in CODECS:
            topic = f"{produce.__name__}.{codec}"
            produce(broker, topic, codec)
            how[topic] = codec
    yield how


@pytest.mark.parametrize("consume", [from_confluent, from_kafka_python, from_aiokafka])
def test_every_record_arrives_as_it_was_sent(broker: Broker, written: dict[str, str], consume: object) -> None:
    for topic in written:
        assert consume(broker, topic) == RECORDS, topic     # type: ignore[operator]


def test_kcat_reads_them(broker: Broker, written: dict[str, str]) -> None:
    for topic in written:
        output = subprocess.run(["kcat", "-b", broker.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e",
                                 "-f", "%o %S\\n"], capture_output=True, text=True, timeout=30, check=True).stdout
        sizes = [len(value) if value is not None else -1 for _, value, _ in RECORDS]
        assert output == "".join(f"{i} {size}\n" for i, size in enumerate(sizes)), topic
