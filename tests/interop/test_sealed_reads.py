"""A consumer that reads what has left the journal, from the disk, while others go on."""
import os
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from tests.conftest import Broker, StartBroker
from tests.interop.kit import SMALL, Sleeper, metric, produce

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
    assert metric(broker.http, "robustmq_sealed_sealings_total") > 20
    assert broker.stop() == 0
    for file in (tmp_path / "data" / "sealed").glob("*.sealed"):
        evict(file)
    broker = start_broker(**SMALL, data_dir=tmp_path / "data")
    consume(broker, "old", 0)
    assert metric(broker.http, "robustmq_sealed_loads_total") > 5, "nothing was cold: the loader did not run"
    consume(broker, "old", 1234)


def test_a_session_reads_what_waited_for_it_from_the_disk(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = start_broker(**SMALL, data_dir=tmp_path / "data", mqtt__max_queued="5000")
    sleeper = Sleeper(broker, "old")
    produce(broker, "old", COUNT, SIZE)
    for file in (tmp_path / "data" / "sealed").glob("*.sealed"):
        evict(file)
    sleeper.wake(broker)
    for i in range(COUNT):
        assert sleeper.next().payload.startswith(b"%d." % i)
    assert metric(broker.http, "robustmq_sealed_loads_total") > 20, "nothing was cold: the loader did not run"
    sleeper.sleep()
