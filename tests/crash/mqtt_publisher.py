"""A publisher of QoS 1 that survives its broker: pipelined, resends what was not acknowledged, remembers what was.

Plain sockets and a dozen lines of MQTT 3.1.1, so that the history it keeps is exactly what the wire said.
"""
from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import OrderedDict

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


class Publisher(threading.Thread):
    """Publishes `name:0`, `name:1`, … to `topic` until told to stop; reconnects for as long as that takes."""

    def __init__(self, name: str, topic: str, port: int) -> None:
        super().__init__(name=f"mqtt-{name}", daemon=True)
        self.label, self.topic, self.port = name, topic, port
        self.acked: set[int] = set()
        self.unacked: OrderedDict[int, int] = OrderedDict()     # packet identifier -> sequence, in sending order
        self.sequence = 0
        self.allowance = 0              # messages that may still be begun in this round
        self.stopping = threading.Event()
        self.broker_up = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            self.broker_up.wait()
            with contextlib.suppress(OSError):
                self.session()
            # The broker is gone: the harness says when the next one accepts clients.
            if not self.stopping.is_set():
                self.broker_up.clear()

    def session(self) -> None:
        """One connection's life; OSError or a clean return when it ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(connect_packet(f"crash-{self.label}"))
            incoming = self.read_exactly(sock, 4)
            if incoming[0] != 0x20 or incoming[3] != 0:
                raise AssertionError(f"CONNACK {incoming.hex()}")
            resend = b"".join(self.publish(pid, sequence, dup=True) for pid, sequence in self.unacked.items())
            sock.sendall(resend)
            pending = bytearray()
            while not self.stopping.is_set() or self.unacked:
                burst = bytearray()
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
        body = utf8(self.topic) + struct.pack(">H", pid) + f"{self.label}:{sequence}".encode()
        return packet(0x3A if dup else 0x32, body)

    def take_acks(self, pending: bytearray) -> None:
        """Consume whole PUBACKs; anything else is a broker's error."""
        while len(pending) >= 4:
            if pending[0] != 0x40 or pending[1] != 2:
                raise AssertionError(f"expected PUBACK, got {bytes(pending[:8]).hex()}")
            sequence = self.unacked.pop(struct.unpack_from(">H", pending, 2)[0])
            self.acked.add(sequence)
            del pending[:4]

    @staticmethod
    def read_exactly(sock: socket.socket, n: int) -> bytes:
        data = b""
        while len(data) < n:
            piece = sock.recv(n - len(data))
            if not piece:
                raise ConnectionError("closed")
            data += piece
        return data
