"""Short loads on this broker: everything arrives, nothing is refused."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from robustmq.bench.idle import connect_all
from robustmq.bench.kafka import Cold, KafkaLoad, preload
from robustmq.bench.kafka import run as run_kafka
from robustmq.bench.mqtt import MqttLoad
from robustmq.bench.mqtt import run as run_mqtt
from robustmq.bench.peers import robustmq
from robustmq.bench.topics import run_topics
from tests.conftest import Broker, launcher

MQTT = MqttLoad(seconds=0.3, warmup_s=0.1, batch=10, window=200)
KAFKA = KafkaLoad(seconds=0.3, warmup_s=0.1, batch=10)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One whose acknowledgements wait for no disk, which can take longer for a sync than all of the measured time."""
    with ExitStack() as cleanup:
        running = launcher(tmp_path_factory.mktemp("broker"), cleanup)(storage__durability="process")
        yield running
        assert running.stop() == 0


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_delivers_everything(broker: Broker, qos: int, version: int) -> None:
    result = run_mqtt(replace(MQTT, qos=qos, version=version, prefix=f"all{qos}{version}"), broker.mqtt)
    assert not any(result.errors.values()), result
    assert result.lost == 0
    assert result.messages > 0


@pytest.mark.parametrize(("publishers", "subscribers", "topics"), [(3, 3, 3), (1, 7, 1), (2, 3, 20)])
def test_mqtt_topics_are_shared_out(broker: Broker, publishers: int, subscribers: int, topics: int) -> None:
    load = replace(MQTT, publishers=publishers, subscribers=subscribers, topics=topics, window=50,
                   prefix=f"out{topics}")
    result = run_mqtt(load, broker.mqtt)
    assert not any(result.errors.values()), result
    assert result.lost == 0


def test_mqtt_acknowledgements_alone(broker: Broker) -> None:
    result = run_mqtt(replace(MQTT, subscribers=0, qos=1, prefix="acks"), broker.mqtt)
    assert result.messages > 0
    assert result.ack_latency is not None


@pytest.mark.parametrize("load", [
    KAFKA, replace(KAFKA, acks=0), replace(KAFKA, producers=2, partitions=2), replace(KAFKA, consumers=1, rate=2000),
    replace(KAFKA, producers=0, consumers=2, partitions=2, preload=5000),
], ids=lambda load: f"{load.producers}p{load.consumers}c acks={load.acks}")
def test_kafka(broker: Broker, load: KafkaLoad) -> None:
    result = run_kafka(load, broker.kafka)
    assert not any(result.errors.values()), result
    assert result.messages > 0
    assert result.lost == 0


def test_idle_connections(broker: Broker) -> None:
    with ExitStack() as opened:
        connect_all(opened, broker.mqtt, 20)


def test_producers_take_all_partitions_in_turn(broker: Broker) -> None:
    load = replace(KAFKA, producers=2, partitions=20, preload=4000, consumers=0)
    with Cold(broker.kafka) as cold:
        cold.create("turn", 20)
        preload(load, broker.kafka, "turn")
        ends = [cold.last_offset("turn", partition)[1] for partition in range(20)]
        assert sum(ends) == 4000
        assert all(ends)


def test_many_topics_are_there_again_after_a_kill(tmp_path: Path) -> None:
    many = run_topics(robustmq("process", []), frozenset(), tmp_path, topics=40, messages=3)
    assert many.elapsed_s > 0 < many.ready_s
    assert many.files > 0 < many.disk_bytes
    assert many.written_bytes > 40 * 3 * 100
    assert list(tmp_path.iterdir()) == []
