"""A consumer that reads what has left the journal, from the disk, while others go on."""
import os
import urllib.request
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.conftest import Broker, StartBroker

COUNT, SIZE = 3000, 10_000
SMALL = {"storage__segment_bytes": "1MiB", "storage__journal_bytes": "4MiB", "kafka__message_max_bytes": "200000",
         "mqtt__max_packet_size": "200000"}


def produce(broker: Broker, topic: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "linger.ms": 5,
                         "batch.size": 100_000})
    failed: list[object] = []
    for i in range(COUNT):
        producer.produce(topic, b"%d" % i + b"." * SIZE, partition=0,
                         on_delivery=lambda error, _: failed.append(error) if error else None)
        producer.poll(0)
    assert producer.flush(30) == 0 and failed == []


def consume(broker: Broker, topic: str, start: int) -> None:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "check.crcs": True,
                         "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, start)])
    try:
        expected = start
        while expected < COUNT:
            for message in consumer.consume(500, 20):
                assert message.error() is None and message.offset() == expected
                assert message.value().startswith(b"%d." % expected)
                expected += 1
    finally:
        consumer.close()


def evict(file: Path) -> None:
    """Let the page cache forget a file that nobody has mapped."""
    descriptor = os.open(file, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def metric(broker: Broker, name: str) -> float:
    with urllib.request.urlopen(f"{broker.http}/metrics", timeout=10) as page:
        return next(float(line.split()[1]) for line in page.read().decode().splitlines() if line.startswith(name + " "))


def test_what_has_left_the_journal_is_read_from_the_disk(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = start_broker(**SMALL, data_dir=tmp_path / "data")
    produce(broker, "old")
    consume(broker, "old", 0)
    assert metric(broker, "robustmq_sealed_sealings_total") > 20
    assert broker.stop() == 0
    for file in (tmp_path / "data" / "sealed").glob("*.sealed"):
        evict(file)
    broker = start_broker(**SMALL, data_dir=tmp_path / "data")
    consume(broker, "old", 0)
    assert metric(broker, "robustmq_sealed_loads_total") > 5, "nothing was cold: the loader did not run"
    consume(broker, "old", 1234)
