"""One message, two protocols: MQTT to Kafka and Kafka to MQTT, with paho and librdkafka."""
from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka as kafka
import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.conftest import Broker, StartBroker
from tests.interop.test_mqtt_clients import Client

WAIT_S = 15
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@pytest.fixture
def name() -> Iterator[str]:
    """A name of the test's own: `x.NAME` in Kafka, `x/NAME` in MQTT."""
    yield uuid.uuid4().hex[:12]


def read(broker: Broker, topic: str, n: int) -> list[kafka.Message]:
    """The first `n` records of the topic."""
    consumer = kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": uuid.uuid4().hex,
                               "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: list[kafka.Message] = []
    for _ in range(WAIT_S * 10):
        if len(found) < n and (message := consumer.poll(0.1)) is not None:
            assert message.error() is None
            found.append(message)
    consumer.close()
    assert len(found) == n
    return found


def write(broker: Broker, topic: str, records: list[dict[str, Any]], codec: str = "none") -> None:
    """Produce them in one go and wait for the acknowledgements."""
    producer = kafka.Producer({"bootstrap.servers": broker.bootstrap, "compression.type": codec, "linger.ms": 20})
    for record in records:
        producer.produce(topic, **record)
    assert producer.flush(WAIT_S) == 0


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
def test_mqtt_to_kafka(broker: Broker, name: str, version: int) -> None:
    """Payloads in order, the QoS in a header."""
    writer = Client(broker.mqtt, version)
    for i in range(30):
        writer.publish(f"x/{name}", b"%d" % i, i % 3)
    writer.close()
    records = read(broker, f"x.{name}", 30)
    assert [record.value() for record in records] == [b"%d" % i for i in range(30)]
    assert [record.offset() for record in records] == list(range(30))
    for i, record in enumerate(records):
        assert record.key() is None
        assert dict(record.headers() or []) == ({"mqtt.qos": b"%d" % (i % 3)} if i % 3 else {})


def test_properties_become_headers(broker: Broker, name: str) -> None:
    """The table of docs/protocols/mqtt.md, towards Kafka."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("plain", "ü"), ("mqtt.mine", "x"), ("kafka.key", "the key")]
    properties.ContentType = "text/plain"
    properties.ResponseTopic = "answer"
    properties.CorrelationData = b"\0\xff"
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 90
    writer = Client(broker.mqtt)
    writer.publish(f"x/{name}", b"p", retain=True, properties=properties)
    writer.close()
    record = read(broker, f"x.{name}", 1)[0]
    assert record.key() == b"the key"
    assert dict(record.headers()) == {
        "mqtt.qos": b"1", "mqtt.retain": b"1", "mqtt.payload-format": b"1", "mqtt.expiry": b"90",
        "mqtt.content-type": b"text/plain", "mqtt.response-topic": b"answer", "mqtt.correlation-data": b"\0\xff",
        "plain": "ü".encode(), "mqtt.user.mqtt.mine": b"x"}


@pytest.mark.parametrize("codec", CODECS)
def test_kafka_to_mqtt(broker: Broker, name: str, codec: str) -> None:
    """Every codec, keys, headers, binary headers, a tombstone: to 5.0 and 3.1.1, QoS 1."""
    new, old = Client(broker.mqtt), Client(broker.mqtt, paho.MQTTv311)
    for reader in (new, old):
        reader.subscribe(f"x/{name}", 2)
    write(broker, f"x.{name}", [
        {"value": b"first", "key": b"k1", "headers": [("a", b"1"), ("a", b"2"), ("bin", b"\xff\0"), ("none", None)]},
        {"value": None, "key": "schlüssel".encode()},
        {"value": b"timed", "headers": [("mqtt.expiry", b"100"), ("mqtt.content-type", b"ct"), ("mqtt.qos", b"0")]},
        *({"value": b"%d" % i * 100} for i in range(200)),
    ], codec)
    got = new.take(203)
    assert [message.payload for message in got[:3]] == [b"first", b"", b"timed"]
    assert [message.qos for message in got[:4]] == [1, 1, 0, 1]
    assert got[0].properties.UserProperty == [("kafka.key", "k1"), ("a", "1"), ("a", "2"), ("bin;base64", "/wA="),
                                              ("none", "")]
    assert got[1].properties.UserProperty == [("kafka.key", "schlüssel")]
    assert got[2].properties.ContentType == "ct"
    assert 90 <= got[2].properties.MessageExpiryInterval <= 100
    assert [message.payload for message in got[3:]] == [b"%d" % i * 100 for i in range(200)]
    assert [message.payload for message in old.take(203)] == [message.payload for message in got]
    new.close()
    old.close()


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_kafka_to_an_absent_client(broker: Broker, name: str, codec: str) -> None:
    """A persistent session's queue holds what Kafka wrote while it was away, compressed or not."""
    reader = Client(broker.mqtt, client_id=name, keep=True)
    reader.subscribe(f"x/{name}", 1)
    reader.close()
    write(broker, f"x.{name}", [{"value": b"%d" % i} for i in range(100)], codec)
    again = Client(broker.mqtt, client_id=name, keep=True)
    assert [message.payload for message in again.take(100)] == [b"%d" % i for i in range(100)]
    again.close()


def test_folded(start_broker: StartBroker, tmp_path: Path) -> None:
    """[[mapping]]: many MQTT topics in one partitioned Kafka topic, keyed; subscribers see their own topics."""
    config = tmp_path / "broker.toml"
    config.write_text('[[mapping]]\nfilter = "fleet/+/speed"\ntopic = "speed"\npartitions = 4\nkey = "level:1"\n')
    broker = start_broker(config=config)
    one, every, writer = Client(broker.mqtt), Client(broker.mqtt), Client(broker.mqtt)
    one.subscribe("fleet/car3/speed", 1)
    every.subscribe("fleet/#", 1)
    for i in range(40):
        writer.publish(f"fleet/car{i % 8}/speed", b"%d" % i)
    assert [int(message.payload) for message in one.take(5)] == [3, 11, 19, 27, 35]
    seen = every.take(40)
    assert {message.topic for message in seen} == {f"fleet/car{i}/speed" for i in range(8)}
    records = read(broker, "speed", 40)
    for record in records:
        car = b"car%d" % (int(record.value()) % 8)
        assert record.key() == car
        assert dict(record.headers())["mqtt.topic"] == b"fleet/" + car + b"/speed"
    where = {record.key(): record.partition() for record in records}
    assert all(record.partition() == where[record.key()] for record in records)
    for client in (one, every, writer):
        client.close()
