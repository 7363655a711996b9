"""An idempotent Kafka producer (acks=all) on a plain socket: five batches in flight, resent if not answered."""
from __future__ import annotations

import socket
import struct
import threading
from collections import deque

from tests.batches import batch
from tests.crash.kafka_wire import INIT_PRODUCER_ID, METADATA, PRODUCE, answer, array, ask, connect, send, text
from tests.crash.mqtt_publisher import payload

IN_FLIGHT = 5
PER_BATCH = 8


class Publisher(threading.Thread):
    """Produces `name:0:…`, `name:1:…`, … to partition 0 of `topic`; `acked` holds what the broker acknowledged."""

    def __init__(self, name: str, topic: str, port: int) -> None:
        super().__init__(name=f"kafka-{name}", daemon=True)
        self.label, self.topic, self.port = name, topic, port
        self.acked: set[int] = set()
        self.failed: list[str] = []
        self.unacked: deque[int] = deque()      # first sequence of each batch under way, in order
        self.sequence = 0
        self.producer = -1
        self.allowance = 0                      # messages that may still be begun in this round
        self.stopping = threading.Event()
        self.broker_up = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            self.broker_up.wait()
            try:
                self.session()
            except AssertionError as error:
                self.failed.append(str(error))
                return
            except OSError:
                pass
            if not self.stopping.is_set():
                self.broker_up.clear()

    def session(self) -> None:
        """One connection's life; OSError or a clean return when it ends."""
        with connect(self.port) as sock:
            ask(sock, METADATA, array(text(self.topic)) + b"\1")       # creates the topic
            if self.producer < 0:
                _, error, producer = struct.unpack_from(">ihq", ask(sock, INIT_PRODUCER_ID, struct.pack(">hi", -1, 0)))
                assert error == 0, f"InitProducerId: error {error}"
                self.producer = producer
            for first in self.unacked:
                self.produce(sock, first)
            while not self.stopping.is_set() or self.unacked:
                while len(self.unacked) < IN_FLIGHT and self.allowance > 0 and not self.stopping.is_set():
                    self.allowance -= PER_BATCH
                    self.unacked.append(self.sequence)
                    self.produce(sock, self.sequence)
                    self.sequence += PER_BATCH
                if self.unacked:
                    self.take_answer(answer(sock))
                elif not self.stopping.wait(0.01) and not self.allowance > 0 and peer_closed(sock):
                    return

    def produce(self, sock: socket.socket, first: int) -> None:
        values = [payload(self.label, sequence) for sequence in range(first, first + PER_BATCH)]
        data = batch(values, producer=self.producer, epoch=0, sequence=first)
        partition = struct.pack(">ii", 0, len(data)) + data
        send(sock, PRODUCE, struct.pack(">hhi", -1, -1, 10_000) + array(text(self.topic) + array(partition)))

    def take_answer(self, data: bytes) -> None:
        """The answer to the oldest batch under way."""
        _, error, _ = struct.unpack_from(">ihq", data, 4 + len(text(self.topic)) + 4)
        first = self.unacked.popleft()
        assert error == 0, f"Produce of {first} to {first + PER_BATCH - 1}: error {error}"
        self.acked.update(range(first, first + PER_BATCH))


def peer_closed(sock: socket.socket) -> bool:
    """Whether the broker has gone while nothing was asked of it."""
    try:
        return sock.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
