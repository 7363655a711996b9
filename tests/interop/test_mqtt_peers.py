"""MQTT.js: it hears itself, and what other clients publish, at every QoS in both versions."""
from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.conftest import Broker

from .peers import SECONDS, Record, decode, encode, node, produce, run

PAYLOADS = [b"text", b"", bytes(range(256)), b"x" * 100_000, *(b"%d" % number for number in range(200))]


@contextmanager
def subscribed(broker: Broker, version: int, topic: str, qos: int, count: int) -> Iterator[subprocess.Popen[str]]:
    """A subscriber whose SUBACK has come; it ends after `count` messages."""
    host, port = broker.mqtt
    command = [*node("mqtt.mjs"), "sub", host, str(port), str(version), topic, str(qos), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "subscribed\n"
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str]) -> list[tuple[str, bytes | None, int]]:
    """(topic, payload, QoS) of all messages."""
    raw = [json.loads(line) for line in process.communicate(timeout=SECONDS)[0].splitlines()]
    return [(one["topic"], decode(one["payload"]), one["qos"]) for one in raw]


def publish(broker: Broker, version: int, topic: str, qos: int, payloads: list[bytes]) -> None:
    """Returns when all are acknowledged."""
    host, port = broker.mqtt
    run(node("mqtt.mjs"), "pub", host, str(port), str(version), topic, str(qos),
        stdin="".join(f"{encode(payload)}\n" for payload in payloads))


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_all_arrives_in_order(broker: Broker, version: int, qos: int) -> None:
    topic = f"js/{uuid4().hex[:8]}"
    with subscribed(broker, version, topic, qos, len(PAYLOADS)) as process:
        publish(broker, version, topic, qos, PAYLOADS)
        assert heard(process) == [(topic, payload, qos) for payload in PAYLOADS]


def test_wildcards_and_the_lower_qos(broker: Broker) -> None:
    level = f"js-{uuid4().hex[:8]}"
    with subscribed(broker, 5, f"{level}/+/#", 1, 2) as process:
        publish(broker, 4, f"{level}/a/b/c", 2, [b"deep"])
        publish(broker, 5, f"{level}/a", 0, [b"shallow"])
        assert heard(process) == [(f"{level}/a/b/c", b"deep", 1), (f"{level}/a", b"shallow", 0)]


def test_what_kafkajs_produces_it_hears(broker: Broker) -> None:
    name = f"js-{uuid4().hex[:8]}"
    with subscribed(broker, 5, f"{name}/t", 1, 1) as process:
        produce("kafkajs", broker.bootstrap, f"{name}.t", "gzip", [Record(b"k", b"from Kafka")])
        assert [(topic, payload) for topic, payload, _ in heard(process)] == [(f"{name}/t", b"from Kafka")]
