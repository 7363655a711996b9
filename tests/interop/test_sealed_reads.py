"""A consumer that reads what has left the journal, from the disk, while others go on."""
import os
import queue
from pathlib import Path

import paho.mqtt.client as mqtt
from confluent_kafka import Consumer, TopicPartition

from tests.conftest import Broker, StartBroker
from tests.interop.kit import SMALL, metric, produce

COUNT, SIZE = 3000, 10_000


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


def test_what_has_left_the_journal_is_read_from_the_disk(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = start_broker(**SMALL, data_dir=tmp_path / "data")
    produce(broker, "old", COUNT, SIZE)
    consume(broker, "old", 0)
    assert metric(broker, "robustmq_sealed_sealings_total") > 20
    assert broker.stop() == 0
    for file in (tmp_path / "data" / "sealed").glob("*.sealed"):
        evict(file)
    broker = start_broker(**SMALL, data_dir=tmp_path / "data")
    consume(broker, "old", 0)
    assert metric(broker, "robustmq_sealed_loads_total") > 5, "nothing was cold: the loader did not run"
    consume(broker, "old", 1234)


def test_a_session_reads_what_waited_for_it_from_the_disk(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = start_broker(**SMALL, data_dir=tmp_path / "data", mqtt__max_queued="5000")
    events: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "sleeper", clean_session=False)
    client.on_connect = lambda *_: events.put(b"connected")
    client.on_subscribe = lambda *_: events.put(b"subscribed")
    client.on_message = lambda _client, _data, message: events.put(message.payload)
    client.connect(*broker.mqtt, keepalive=60)
    client.loop_start()
    assert events.get(timeout=20) == b"connected"
    client.subscribe("old", 1)
    assert events.get(timeout=20) == b"subscribed"
    client.disconnect()
    client.loop_stop()
    produce(broker, "old", COUNT, SIZE)
    for file in (tmp_path / "data" / "sealed").glob("*.sealed"):
        evict(file)
    client.connect(*broker.mqtt, keepalive=60)
    client.loop_start()
    assert events.get(timeout=20) == b"connected"
    for i in range(COUNT):
        assert events.get(timeout=20).startswith(b"%d." % i)
    assert metric(broker, "robustmq_sealed_loads_total") > 20, "nothing was cold: the loader did not run"
    client.disconnect()
    client.loop_stop()
