"""librdkafka (idempotence, acks=all) through the deaths of its broker: it needs a second to find it again."""
from __future__ import annotations

import threading

from confluent_kafka import KafkaError, Message, Producer

from tests.crash.mqtt_publisher import payload


class Publisher(threading.Thread):
    """Produces `name:0:…`, `name:1:…`, … to partition 0 of `topic`; `acked` holds what the broker acknowledged."""

    def __init__(self, name: str, topic: str, port: int) -> None:
        super().__init__(name=f"librdkafka-{name}", daemon=True)
        self.label, self.topic = name, topic
        self.acked: set[int] = set()
        self.failed: list[str] = []
        self.allowance = 0              # messages that may still be begun in this round
        self.stopping = threading.Event()
        self.heard = threading.Event()  # of an acknowledgement, since somebody cleared it
        self.producer = Producer({
            "bootstrap.servers": f"127.0.0.1:{port}",
            "enable.idempotence": True,
            "linger.ms": 2,
            "batch.size": 64 << 10,
            "message.timeout.ms": 600_000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
            "retry.backoff.ms": 20,
            "queue.buffering.max.messages": 2_000,
            "log_level": 0,
        })

    def run(self) -> None:
        sequence = 0
        while not self.stopping.is_set():
            if self.allowance <= 0:
                self.producer.poll(0.05)
                continue
            self.allowance -= 1
            try:
                self.producer.produce(self.topic, payload(self.label, sequence), partition=0,
                                      on_delivery=self.delivered)
                sequence += 1
            except BufferError:
                self.producer.poll(0.05)
                continue
            self.producer.poll(0)
        self.producer.flush(60)

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        value = message.value()
        if error is not None:
            self.failed.append(str(error))
        elif value is not None:
            self.acked.add(int(value.split(b":", 2)[1]))
            self.heard.set()
