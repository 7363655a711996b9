"""A client of MQTT 3.1.1 or 5 that never waits: what it sends leaves when the socket takes it, what came is taken in
pieces. It remembers what it asked for: a broker answers the SUBSCRIBEs, UNSUBSCRIBEs and PINGREQs of a connection in
their order, or closes it.
"""
from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from collections.abc import Iterator

from tests.conftest import Address
from tests.crash.mqtt_publisher import packet, remaining_length, utf8

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = range(8, 15)
NARROW = 4096                           # receive buffer of one that does not read
# Reasons of a DISCONNECT that somebody gets who keeps the protocol: taken over, quota, administrative action.
LAWFUL = {0x8E, 0x97, 0x98}


class Peer:
    """One connection. `reading` off: what comes stays in the socket."""

    def __init__(self, address: Address, client_id: str, *, version: int = 4, clean: bool = True, expiry_s: int = 0,
                 window: int = 65_535, will: bytes = b"", will_flags: int = 0, reading: bool = True) -> None:
        self.client_id, self.version, self.reading = client_id, version, reading
        self.closed = self.accepted = self.present = False
        self.asked: deque[tuple[int, int]] = deque()        # (packet type of the answer, packet identifier)
        self.last_id = 0
        self._in, self._out = bytearray(), bytearray()
        self.socket = socket.socket()
        if not reading:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(address)
        self.socket.setblocking(False)
        body = utf8("MQTT") + bytes((version, clean << 1 | will_flags)) + struct.pack(">H", 60)
        if version == 5:
            body += b"\x08\x11" + struct.pack(">I", expiry_s) + b"\x21" + struct.pack(">H", window)
        self.put(packet(CONNECT << 4, body + utf8(client_id) + will))

    def put(self, *packets: bytes) -> None:
        """In one write."""
        self._out += b"".join(packets)
        self.flush()

    def flush(self) -> None:
        with self._ends():
            while self._out and not self.closed:
                del self._out[:self.socket.send(self._out)]

    def take(self) -> Iterator[tuple[int, bytes]]:
        """The packets that are there: first byte, body."""
        with self._ends():
            piece = self.socket.recv(1 << 16)
            self._in += piece
            if not piece:
                self.drop()
        while (found := self._whole()) is not None:
            yield found

    def drop(self, *, reset: bool = False) -> None:
        """Without a word; `reset`: what is on its way is thrown away."""
        if not self.closed:
            self.closed = True
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()

    @contextlib.contextmanager
    def _ends(self) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:
            pass
        except OSError:
            self.drop()

    def _whole(self) -> tuple[int, bytes] | None:
        length = shift = 0
        for at in range(1, min(len(self._in), 5)):
            length |= (self._in[at] & 127) << shift
            shift += 7
            if self._in[at] < 128:
                if len(self._in) < at + 1 + length:
                    return None
                found = self._in[0], bytes(self._in[at + 1:at + 1 + length])
                del self._in[:at + 1 + length]
                return found
        return None

    # --- packets ---

    def _id(self) -> int:
        self.last_id = self.last_id % 60_000 + 1
        return self.last_id

    def subscribe(self, filters: list[tuple[str, int]], identifier: int = 0) -> bytes:
        """(filter, options) each."""
        self.asked.append((SUBACK, self._id()))
        properties = b""
        if self.version == 5:
            number = b"\x0b" + remaining_length(identifier) if identifier else b""
            properties = bytes((len(number),)) + number
        return packet(SUBSCRIBE << 4 | 2, struct.pack(">H", self.last_id) + properties + b"".join(
            utf8(text) + bytes((options,)) for text, options in filters))

    def unsubscribe(self, filters: list[str]) -> bytes:
        self.asked.append((UNSUBACK, self._id()))
        body = struct.pack(">H", self.last_id) + self._none() + b"".join(map(utf8, filters))
        return packet(UNSUBSCRIBE << 4 | 2, body)

    def publish(self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False) -> bytes:
        id = struct.pack(">H", self._id()) if qos else b""
        return packet(PUBLISH << 4 | qos << 1 | retain, utf8(topic) + id + self._none() + payload)

    def ping(self) -> bytes:
        self.asked.append((PINGRESP, 0))
        return bytes((PINGREQ << 4, 0))

    def _none(self) -> bytes:
        return b"\0" if self.version == 5 else b""

    def serve(self, first: int, body: bytes) -> tuple[str, bytes] | None:
        """Do with a packet what the protocol asks for; the (topic, payload) of a PUBLISH."""
        kind = first >> 4
        if kind == PUBLISH:
            return self._message(first >> 1 & 3, body)
        if kind == CONNACK:
            assert body[1] == 0, f"{self.client_id}: refused with {body.hex()}"
            self.accepted, self.present = True, bool(body[0])
        elif kind in (SUBACK, UNSUBACK, PINGRESP):
            answer = kind, int.from_bytes(body[:2], "big")
            assert self.asked and self.asked.popleft() == answer, f"{self.client_id}: not what it asked for: {answer}"
        elif kind == DISCONNECT:
            assert body[0] in LAWFUL, f"{self.client_id}: disconnected with {body[0]:#x}"
        elif kind in (PUBREC, PUBREL):
            self.put(packet(kind + 1 << 4 | (2 if kind == PUBREC else 0), body[:2]))
        return None

    def _message(self, qos: int, body: bytes) -> tuple[str, bytes]:
        at = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:at].decode()
        if qos:
            self.put(packet((PUBACK if qos == 1 else PUBREC) << 4, body[at:at + 2]))
            at += 2
        if self.version == 5:
            assert body[at] < 128, "properties longer than any that are sent here"
            at += 1 + body[at]
        return topic, body[at:]
