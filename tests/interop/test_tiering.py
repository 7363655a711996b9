"""Consumers of what has left the local disk for a blob store."""
from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from robustmq.cli.main import main
from tests.conftest import Broker, StartBroker
from tests.interop.kit import SMALL, Sleeper, metric, produce, reaches

COUNT, SIZE = 1200, 10_000
TIMEOUT_S = 60
TIERED = SMALL | {"mqtt__max_queued": "5000", "tier__interval_ms": "100", "tier__cache_bytes": "3MiB"}


def start(start_broker: StartBroker, path: Path) -> Broker:
    return start_broker(**TIERED, tier__url=f"file://{path}/blob", data_dir=path / "data")


def create(broker: Broker, topic: str) -> None:
    wanted = {"name": topic, "partitions": 1, "configs": {"remote.storage.enable": "true", "local.retention.ms": "0"}}
    with urllib.request.urlopen(urllib.request.Request(f"{broker.http}/api/v1/topics", json.dumps(wanted).encode(),
                                                       {"Content-Type": "application/json"}), timeout=10) as answer:
        assert answer.status in {200, 201}


def released(broker: Broker, runs: int) -> None:
    """Until so many runs have left the local disk."""
    assert reaches(broker.http, "robustmq_tier_releases_total", runs, TIMEOUT_S), broker.log.read_text()[-2000:]


def test_a_kafka_consumer_reads_from_the_blob_store(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = start(start_broker, tmp_path)
    create(broker, "old")
    produce(broker, "old", COUNT, SIZE)
    released(broker, 6)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "check.crcs": True,
                         "enable.auto.commit": False})
    consumer.assign([TopicPartition("old", 0, 0)])
    expected = 0
    while expected < COUNT:
        found = consumer.consume(100, TIMEOUT_S)
        assert found, f"nothing came after {expected}: {broker.log.read_text()[-2000:]}"
        for message in found:
            assert message.error() is None and message.offset() == expected
            assert message.value().startswith(b"%d." % expected)
            expected += 1
    [first] = consumer.offsets_for_times([TopicPartition("old", 0, 1)], TIMEOUT_S)
    assert first.error is None and first.offset == 0
    consumer.close()
    assert metric(broker.http, "robustmq_tier_recalls_total") >= 6
    assert metric(broker.http, "robustmq_tier_cached_bytes") <= 3 << 20
    assert broker.stop() == 0
    assert main(["storage", "check", str(broker.data_dir)]) == 0        # what is elsewhere is no damage


@pytest.mark.parametrize("restart", [False, True], ids=["", "restarted"])
def test_a_session_whose_messages_were_tiered(start_broker: StartBroker, tmp_path: Path, restart: bool) -> None:
    broker = start(start_broker, tmp_path)
    create(broker, "old.mqtt")
    sleeper = Sleeper(broker, "old/mqtt")
    produce(broker, "old.mqtt", COUNT, SIZE)
    released(broker, 6)
    if restart:
        assert broker.stop() == 0
        broker = start(start_broker, tmp_path)
    sleeper.wake(broker)
    for i in range(COUNT):
        assert sleeper.next().payload.startswith(b"%d." % i)
    sleeper.sleep()
    assert metric(broker.http, "robustmq_tier_recalls_total") >= 6
    assert broker.stop() == 0


def test_more_topics_wait_after_a_restart_than_are_asked_for_at_once(start_broker: StartBroker,
                                                                    tmp_path: Path) -> None:
    topics = [f"many.{i}" for i in range(100)]
    broker = start(start_broker, tmp_path)
    for topic in (*topics, "filler"):
        create(broker, topic)
    sleeper = Sleeper(broker, "many/+")
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all"})
    for topic in topics:
        producer.produce(topic, b"x", partition=0)
    assert producer.flush(30) == 0
    produce(broker, "filler", COUNT, SIZE)
    released(broker, len(topics))
    assert broker.stop() == 0
    broker = start(start_broker, tmp_path)
    sleeper.wake(broker)
    assert {sleeper.next().topic for _ in topics} == {topic.replace(".", "/") for topic in topics}
    sleeper.sleep()
    assert broker.stop() == 0
