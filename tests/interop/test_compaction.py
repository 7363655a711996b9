"""A compacted topic, seen by a consumer that starts at its beginning."""
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.conftest import Broker, StartBroker


def from_the_beginning(broker: Broker, topic: str, end: int) -> list[tuple[int, bytes | None, bytes | None]]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "check.crcs": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[tuple[int, bytes | None, bytes | None]] = []
    try:
        while not found or found[-1][0] < end - 1:
            message = consumer.poll(20)
            assert message is not None and message.error() is None
            found.append((message.offset() or 0, message.key(), message.value()))
    finally:
        consumer.close()
    return found


def test_a_compacted_topic(start_broker: StartBroker) -> None:
    broker = start_broker(storage__retention_check_interval_ms="1000")
    config = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0"}
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("c", 1, 1, config=config)])["c"].result(10)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "compression.type": "lz4", "linger.ms": 5})
    for i in range(1000):
        producer.produce("c", b"%d" % i, b"key %d" % (i % 7))
    assert producer.flush(10) == 0
    latest = [(offset, b"key %d" % (offset % 7), b"%d" % offset) for offset in range(993, 1000)]
    deadline = time.monotonic() + 30
    while (found := from_the_beginning(broker, "c", 1000)) != latest:
        assert {key: value for _, key, value in found} == {key: value for _, key, value in latest}
        assert time.monotonic() < deadline, f"{len(found)} records are left"
        time.sleep(0.2)
    assert broker.stop() == 0
    broker = start_broker(data_dir=broker.data_dir)
    assert from_the_beginning(broker, "c", 1000) == latest
