"""MQTT over TLS and over WebSocket with a real client, crossing to plain TCP and back."""
from __future__ import annotations

import queue
import ssl
from pathlib import Path

import paho.mqtt.client as paho

from tests.conftest import Address, Broker, Certificate, StartBroker

SECONDS = 20


class Client:
    """A paho client on a thread of its own; messages come in a queue."""

    def __init__(self, name: str, where: Address, transport: str = "tcp", ca: Path | None = None) -> None:
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.subscribed: queue.Queue[None] = queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, transport=transport, protocol=paho.MQTTv5)
        if ca is not None:
            self.client.tls_set_context(ssl.create_default_context(cafile=str(ca)))
        self.client.on_message = lambda _, __, message: self.messages.put((message.topic, message.payload))
        self.client.on_subscribe = lambda *_: self.subscribed.put(None)
        self.client.connect("localhost" if ca else where[0], where[1])
        self.client.loop_start()

    def subscribe(self, topic: str) -> None:
        self.client.subscribe(topic, 1)
        self.subscribed.get(timeout=SECONDS)

    def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, 1).wait_for_publish(SECONDS)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def cross(one: Client, other: Client) -> None:
    """Small and large messages from one client to the other, both ways, in order."""
    payloads = [bytes([n]) * size for n, size in enumerate([1, 200, 70_000, 500_000, 3])]
    try:
        for sender, receiver, topic in ((one, other, "there"), (other, one, "back")):
            receiver.subscribe(topic)
            for payload in payloads:
                sender.publish(topic, payload)
            assert [receiver.messages.get(timeout=SECONDS) for _ in payloads] == [(topic, each) for each in payloads]
    finally:
        one.close()
        other.close()


def test_websocket(broker: Broker) -> None:
    cross(Client("web", broker.listeners["mqtt_ws"], "websockets"), Client("plain", broker.mqtt))


def test_tls(start_broker: StartBroker, certificate: Certificate) -> None:
    broker = start_broker(mqtt__tls_listen="127.0.0.1:0", mqtt__tls_cert=str(certificate.chain),
                          mqtt__tls_key=str(certificate.key))
    secure = Client("secure", broker.listeners["mqtt_tls"], ca=certificate.chain)
    cross(secure, Client("plain", broker.mqtt))
    assert broker.stop() == 0
