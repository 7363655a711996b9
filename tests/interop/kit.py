"""What the tests of sealed and tiered topics share."""
import urllib.request

from confluent_kafka import Producer

from tests.conftest import Broker

SMALL = {"storage__segment_bytes": "1MiB", "storage__journal_bytes": "4MiB", "kafka__message_max_bytes": "200000",
         "mqtt__max_packet_size": "200000"}


def produce(broker: Broker, topic: str, count: int, size: int) -> None:
    """`count` records in partition 0, each its number, a dot and `size` bytes more; all are acknowledged."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "linger.ms": 5, "batch.size": 100_000})
    failed: list[object] = []
    for i in range(count):
        producer.produce(topic, b"%d" % i + b"." * size, partition=0,
                         on_delivery=lambda error, _: failed.append(error) if error else None)
        producer.poll(0)
    assert producer.flush(30) == 0 and failed == []


def metric(broker: Broker, name: str) -> float:
    """The value of an unlabelled metric."""
    with urllib.request.urlopen(f"{broker.http}/metrics", timeout=10) as page:
        return next(float(line.split()[1]) for line in page.read().decode().splitlines() if line.startswith(name + " "))
