"""A compacted topic, seen by a consumer that starts at its beginning."""
import json
import random
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from robustmq.cli.main import main
from tests.conftest import Broker, StartBroker
from tests.interop.kit import Sleeper

from .peers import kafka_tool, run

Row = tuple[int, bytes | None, bytes | None]        # offset, key, value
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def from_the_beginning(broker: Broker, topic: str, end: int) -> list[Row]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "check.crcs": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[Row] = []
    try:
        while not found or found[-1][0] < end - 1:
            message = consumer.poll(20)
            assert message is not None and message.error() is None
            found.append((message.offset() or 0, message.key(), message.value()))
    finally:
        consumer.close()
    return found


def compacted(broker: Broker, topic: str) -> None:
    config = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0"}
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(10)


def fill(broker: Broker, topic: str, codec: str, keys: int = 7, more: bytes = b"") -> None:
    """A thousand records; each value says the offset, and `more`."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "compression.type": codec, "linger.ms": 5})
    for i in range(1000):
        producer.produce(topic, b"%d" % i + more, b"key %d" % (i % keys))
    assert producer.flush(10) == 0


def settled(broker: Broker, topic: str, keys: int = 7, more: bytes = b"") -> list[Row]:
    """When compaction has left the latest of each key, these. Nobody tells when: the topic is read again."""
    latest = [(offset, b"key %d" % (offset % keys), b"%d" % offset + more) for offset in range(1000 - keys, 1000)]
    deadline = time.monotonic() + 30
    while (found := from_the_beginning(broker, topic, 1000)) != latest:
        assert {key: value for _, key, value in found} == {key: value for _, key, value in latest}
        assert time.monotonic() < deadline, f"{len(found)} records are left"
        time.sleep(0.2)
    return found


def test_compacted_topics_keep_their_codecs(start_broker: StartBroker, capsys: pytest.CaptureFixture[str]) -> None:
    broker = start_broker(storage__retention_check_interval_ms="1000")
    for codec in CODECS:
        compacted(broker, codec)
        fill(broker, codec, codec)
    latest = {codec: settled(broker, codec) for codec in CODECS}
    assert broker.stop() == 0
    assert main(["storage", "check", str(broker.data_dir)]) == 0
    for codec in CODECS:
        capsys.readouterr()
        assert main(["storage", "dump", "--json", "--topic", codec, str(broker.data_dir)]) == 0
        batches = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {one["codec"] for one in batches if one["records"]} == {codec}
    broker = start_broker(data_dir=broker.data_dir)
    for codec in CODECS:
        assert from_the_beginning(broker, codec, 1000) == latest[codec]


def test_java_reads_what_compaction_wrote(start_broker: StartBroker) -> None:
    """More than one block of each codec."""
    tool = kafka_tool("consumer.ConsoleConsumer")
    broker = start_broker(storage__retention_check_interval_ms="1000")
    noise = random.Random(1).randbytes(250).hex()
    for codec in CODECS:
        compacted(broker, codec)
        fill(broker, codec, codec, 300, noise.encode())
    for codec in CODECS:
        settled(broker, codec, 300, noise.encode())
    lines = run(tool, "--bootstrap-server", broker.bootstrap, "--include", ".*", "--from-beginning", "--max-messages",
                str(300 * len(CODECS)), "--timeout-ms", "10000").splitlines()
    assert sorted(lines) == sorted(f"{offset}{noise}" for offset in range(700, 1000) for _ in CODECS)


@pytest.mark.parametrize(("codec", "restart"), [("none", False), ("gzip", True)])
def test_what_waits_for_a_session_is_found_where_compaction_put_it(start_broker: StartBroker, codec: str,
                                                                   restart: bool) -> None:
    broker = start_broker(storage__retention_check_interval_ms="1000", mqtt__max_queued="2000")
    compacted(broker, "c")
    sleeper = Sleeper(broker, "c")
    fill(broker, "c", codec)
    latest = settled(broker, "c")
    if restart:
        assert broker.stop() == 0
        broker = start_broker(data_dir=broker.data_dir, mqtt__max_queued="2000")
    sleeper.wake(broker)
    assert [sleeper.next().payload for _ in latest] == [value for _, _, value in latest]
    sleeper.sleep()
