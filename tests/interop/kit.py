"""What the tests of sealed, compacted and tiered topics share."""
from __future__ import annotations

import queue
import time
import urllib.request

import paho.mqtt.client as mqtt
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


def metric(http: str, name: str) -> float:
    """The value of an unlabelled metric."""
    with urllib.request.urlopen(f"{http}/metrics", timeout=10) as page:
        return next(float(line.split()[1]) for line in page.read().decode().splitlines() if line.startswith(name + " "))


def reaches(http: str, name: str, least: float, seconds: float) -> bool:
    """Whether the metric does so in time. Nobody tells when, so it is asked for."""
    limit = time.monotonic() + seconds
    while metric(http, name) < least:
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True


class Sleeper:
    """A client with a persistent session: it subscribes, sleeps while messages come, and wakes."""

    def __init__(self, broker: Broker, filter: str) -> None:
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[mqtt.MQTTMessage] = queue.SimpleQueue()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "sleeper", clean_session=False)
        self._client.on_connect = lambda *_: self._events.put("connected")
        self._client.on_subscribe = lambda *_: self._events.put("subscribed")
        self._client.on_message = lambda _client, _data, message: self._messages.put(message)
        self.wake(broker)
        self._client.subscribe(filter, 1)
        assert self._events.get(timeout=20) == "subscribed"
        self.sleep()

    def wake(self, broker: Broker) -> None:
        self._client.connect(*broker.mqtt, keepalive=60)
        self._client.loop_start()
        assert self._events.get(timeout=20) == "connected"

    def sleep(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def next(self) -> mqtt.MQTTMessage:
        """The next message that arrives."""
        return self._messages.get(timeout=60)
