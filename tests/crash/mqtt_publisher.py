"""A publisher of QoS 1 or 2 that survives its broker: pipelined, resends what was not acknowledged, remembers what was.

Plain sockets and a dozen lines of MQTT 3.1.1, so that the history it keeps is exactly what the wire said.
"""
from __future__ import annotations

import socket
import struct
import threading
from collections import OrderedDict

from tests.crash.kafka_wire import read_exactly

WINDOW = 200


def remaining_length(n: int) -> bytes:
    """MQTT's variable byte integer [MQTT-1.5.5]."""
    out = bytearray()
    while True:
        n, digit = n >> 7, n & 0x7F
        out.append(digit | (0x80 if n else 0))
        if not n:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + remaining_length(len(body)) + body


def utf8(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def connect_packet(client_id: str) -> bytes:
    return packet(0x10, utf8("MQTT") + bytes([4, 2]) + struct.pack(">H", 60) + utf8(client_id))


def payload(label: str, sequence: int) -> bytes:
    """Of many lengths, so that batches end everywhere in a segment."""
    return b"%s:%d:" % (label.encode(), sequence) + b"." * (sequence * 37 % 600)


class Publisher(threading.Thread):
    """Publishes `name:0:…`, `name:1:…`, … to `topic` until told to stop; reconnects for as long as that takes.

    `qos` 2: what was not acknowledged (PUBREC) is sent again as a new message of the next connection.
    `retained` topics above 0: each message is retained, on one of so many topics below `topic` in turn.
    """

    def __init__(self, name: str, topic: str, port: int, retained: int = 0, qos: int = 1) -> None:
        super().__init__(name=f"mqtt-{name}", daemon=True)
        self.label, self.topic, self.port, self.retained, self.qos = name, topic, port, retained, qos
        self.acked: set[int] = set()
        self.failed: list[str] = []
        self.unacked: OrderedDict[int, int] = OrderedDict()     # packet identifier -> sequence, in sending order
        self.releases = bytearray()     # PUBRELs to be sent
        self.sequence = 0
        self.allowance = 0              # messages that may still be begun in this round
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
            # The broker is gone: the harness says when the next one accepts clients.
            if not self.stopping.is_set():
                self.broker_up.clear()

    def session(self) -> None:
        """One connection's life; OSError or a clean return when it ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(connect_packet(f"crash-{self.label}"))
            incoming = read_exactly(sock, 4)
            if incoming[0] != 0x20 or incoming[3] != 0:
                raise AssertionError(f"CONNACK {incoming.hex()}")
            self.releases.clear()
            resend = b"".join(self.publish(pid, sequence, dup=True) for pid, sequence in self.unacked.items())
            sock.sendall(resend)
            pending = bytearray()
            while not self.stopping.is_set() or self.unacked:
                burst, self.releases = self.releases, bytearray()
                while len(self.unacked) < WINDOW and self.allowance > 0 and not self.stopping.is_set():
                    self.allowance -= 1
                    pid = self.sequence % 65535 + 1
                    self.unacked[pid] = self.sequence
                    burst += self.publish(pid, self.sequence, dup=False)
                    self.sequence += 1
                sock.sendall(burst)
                if not self.unacked:        # nothing may be begun and nothing is owed: until the round is over
                    sock.settimeout(0.2)
                try:
                    data = sock.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    return
                pending += data
                self.take_acks(pending)

    def publish(self, pid: int, sequence: int, *, dup: bool) -> bytes:
        topic = f"{self.topic}/{sequence % self.retained}" if self.retained else self.topic
        body = utf8(topic) + struct.pack(">H", pid) + payload(self.label, sequence)
        return packet(0x30 | self.qos << 1 | dup << 3 | (self.retained > 0), body)

    def take_acks(self, pending: bytearray) -> None:
        """Consume whole PUBACKs, or PUBRECs and PUBCOMPs; anything else is a broker's error."""
        stored = 0x40 if self.qos == 1 else 0x50
        while len(pending) >= 4:
            if pending[0] not in (stored, 0x70) or pending[1] != 2:
                raise AssertionError(f"expected PUBACK or PUBREC, got {bytes(pending[:8]).hex()}")
            if pending[0] == stored:
                sequence = self.unacked.pop(struct.unpack_from(">H", pending, 2)[0])
                self.acked.add(sequence)
                if self.qos == 2:
                    self.releases += packet(0x62, bytes(pending[2:4]))
            del pending[:4]


def retained_sequences(port: int, topic: str, count: int) -> dict[int, int]:
    """{number of the topic below `topic`: sequence of its retained message}; `count` of them are waited for."""
    found: dict[int, int] = {}
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(connect_packet("crash-reader") + packet(0x82, b"\0\1" + utf8(f"{topic}/#") + b"\0"))
        read_exactly(sock, 4 + 5)       # CONNACK, SUBACK
        while len(found) < count:
            first, length = read_exactly(sock, 2)
            if length & 0x80:
                length = length & 0x7F | read_exactly(sock, 1)[0] << 7
            body = read_exactly(sock, length)
            assert first == 0x31, f"expected a retained PUBLISH of QoS 0, got {first:#x}"
            name = body[2:2 + struct.unpack_from(">H", body)[0]]
            found[int(name.rsplit(b"/", 1)[1])] = int(body[2 + len(name):].split(b":", 2)[1])
    return found
