"""A client of MQTT 3.1.1 or 5 that does nothing by itself: what it acknowledges, and when, is the test's."""
from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass

from tests.crash.mqtt_publisher import packet, utf8

PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 3, 4, 5, 6, 7


@dataclass(frozen=True)
class Message:
    """A PUBLISH that came."""

    topic: str
    payload: bytes
    qos: int
    dup: bool
    id: int
    properties: bytes = b""


class Client:
    """One connection."""

    def __init__(self, port: int, client_id: str, *, clean: bool = False, version: int = 4, expiry_s: int = 3600,
                 will: bytes = b"", receive_maximum: int = 65_535) -> None:
        self.version = version
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        body = utf8("MQTT") + bytes((version, clean << 1 | (0x0C if will else 0))) + struct.pack(">H", 60)
        if version == 5:
            section = b"\x11" + struct.pack(">I", expiry_s) + b"\x21" + struct.pack(">H", receive_maximum)
            body += bytes((len(section),)) + section
        self.send(packet(0x10, body + utf8(client_id) + will))
        first, answer = self.read()
        assert first == 0x20, (first, answer)
        assert answer[1] == 0, answer.hex()
        self.present = bool(answer[0])

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, timeout_s: float = 10) -> tuple[int, bytes]:
        """The next packet: first byte, body. OSError: none came, or the connection is gone."""
        self.socket.settimeout(timeout_s)
        while (found := self._whole()) is None:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError("closed")
            self.pending += piece
        return found

    def _whole(self) -> tuple[int, bytes] | None:
        length = shift = 0
        for at in range(1, len(self.pending)):
            length |= (self.pending[at] & 127) << shift
            shift += 7
            if self.pending[at] < 128:
                end = at + 1 + length
                if len(self.pending) < end:
                    return None
                found = self.pending[0], self.pending[at + 1:end]
                self.pending = self.pending[end:]
                return found
        return None

    def subscribe(self, filter: str, qos: int = 2, *, options: int = 0, identifier: int = 0) -> None:
        properties = b""
        if self.version == 5:
            properties = bytes((2, 0x0B, identifier)) if identifier else b"\0"
        self.send(packet(0x82, b"\0\1" + properties + utf8(filter) + bytes((qos | options,))))
        first, answer = self.read()
        assert first == 0x90, (first, answer)
        assert answer[-1] == qos, answer.hex()

    def publish(self, topic: str, payload: bytes, qos: int = 1, id: int = 1, *, dup: bool = False) -> None:
        body = utf8(topic) + (struct.pack(">H", id) if qos else b"") + (b"\0" if self.version == 5 else b"")
        self.send(packet(0x30 | dup << 3 | qos << 1, body + payload))

    def ack(self, kind: int, id: int) -> None:
        self.send(packet(kind << 4 | (2 if kind == PUBREL else 0), struct.pack(">H", id)))

    def expect(self, kind: int, timeout_s: float = 10) -> int:
        """The packet identifier of the acknowledgement that comes next."""
        first, body = self.read(timeout_s)
        assert first >> 4 == kind, (first, body)
        return int(struct.unpack_from(">H", body)[0])

    def message(self, timeout_s: float = 10) -> Message:
        """The PUBLISH that comes next."""
        first, body = self.read(timeout_s)
        assert first >> 4 == PUBLISH, (first, body)
        return self.decode(first, body)

    def decode(self, first: int, body: bytes) -> Message:
        qos = first >> 1 & 3
        at = 2 + struct.unpack_from(">H", body)[0]
        topic = body[2:at].decode()
        id = 0
        if qos:
            id = struct.unpack_from(">H", body, at)[0]
            at += 2
        properties = b""
        if self.version == 5:
            properties = body[at + 1:at + 1 + body[at]]
            at += 1 + body[at]
        return Message(topic, body[at:], qos, bool(first & 8), id, properties)

    def store(self, topic: str, payload: bytes, qos: int = 1, id: int = 1) -> None:
        """Publish, and wait for all its acknowledgements."""
        self.publish(topic, payload, qos, id)
        if qos == 1:
            assert self.expect(PUBACK) == id
        elif qos == 2:
            assert self.expect(PUBREC) == id
            self.ack(PUBREL, id)
            assert self.expect(PUBCOMP) == id

    def silent(self) -> bool:
        """Nothing is on its way: the answer to a PINGREQ is the next that comes."""
        self.send(b"\xc0\0")
        return self.read() == (0xD0, b"")

    def leave(self) -> None:
        """DISCONNECT; returns when the broker has closed."""
        self.send(b"\xe0\0")
        with contextlib.suppress(OSError):
            while True:
                self.read()
        self.socket.close()

    def drop(self) -> None:
        self.socket.close()
