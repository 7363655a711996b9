"""Readers that take little or nothing hold journal segments that publishers need: nobody waits for them."""
from __future__ import annotations

import socket
import struct
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

from tests.conftest import Broker, StartBroker
from tests.crash import kafka_wire
from tests.crash.kafka_wire import read_exactly
from tests.crash.mqtt_publisher import packet, utf8
from tests.interop.kit import SMALL, metric

BODY = 60_000
ROUND = 40                      # messages: more than two segments
READERS = 30                    # each begins two segments after the one before; with SMALL 12 may be in being
SMALLEST = 4096                 # of receive buffers: what a reader does not take stays with the broker
SIP = 2000                      # bytes that a reader takes in a round
PATIENCE_MS = 600_000           # so little opens no window: on a slow machine such a reader is one that takes nothing
FETCH = (1, 4)
FETCH_BYTES = 16 << 20          # more than is asked for
YOUNGEST = 4 * ROUND            # messages: more than the sockets' buffers take, and the journal still has them
LARGER = SMALL | {"storage__journal_bytes": "16MiB", "reactor__high_water_bytes": "64KiB"}
CHOKES = "robustmq_journal_wal_chokes_total"
STALLED = "robustmq_reactor_stalled_total"


def connect(address: tuple[str, int], receive_buffer: int = 0) -> socket.socket:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(30)
    sock.connect(address)
    return sock


def client(broker: Broker, name: str, receive_buffer: int = 0) -> socket.socket:
    sock = connect(broker.mqtt, receive_buffer)
    sock.sendall(packet(0x10, utf8("MQTT") + bytes([4, 2, 0, 0]) + utf8(name)))
    assert read_exactly(sock, 4)[3] == 0
    return sock


def slow_subscriber(broker: Broker, number: int) -> socket.socket:
    sock = client(broker, f"reader{number}", SMALLEST)
    sock.sendall(packet(0x82, b"\0\1" + utf8("t") + b"\0"))
    assert read_exactly(sock, 5)[4] == 0
    return sock


def body(number: int) -> bytes:
    return b"%07d." % number * (BODY // 8)


def publish(publisher: socket.socket, first: int) -> None:
    """A round of QoS 1 from message `first`, and its acknowledgements."""
    publisher.sendall(b"".join(packet(0x32, utf8("t") + struct.pack(">H", number % 0xFFFF + 1) + body(number))
                               for number in range(first, first + ROUND)))
    for number in range(first, first + ROUND):
        assert read_exactly(publisher, 4) == b"\x40\2" + struct.pack(">H", number % 0xFFFF + 1)


def counted(broker: Broker, name: str) -> float:
    """By all reactors."""
    with urllib.request.urlopen(f"{broker.http}/metrics", timeout=10) as page:
        found = [float(line.split()[-1]) for line in page.read().decode().splitlines() if line.startswith(name)]
    assert found
    return sum(found)


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each whole packet."""
    at = 0
    while at < len(data):
        length, shift, start = 0, 0, at + 1
        while True:
            length |= (data[start] & 0x7F) << shift
            shift += 7
            start += 1
            if not data[start - 1] & 0x80:
                break
        yield data[at] >> 4, data[start:start + length]
        at = start + length


def read_until_pong(reader: socket.socket, taken: bytearray) -> None:
    """All that the broker had queued for it, behind what it had `taken`. (No body has a byte of the answer.)"""
    reader.sendall(packet(0xC0, b""))
    while taken[-2:] != b"\xD0\0":
        taken += reader.recv(1 << 20) or b"closed\xD0\0"


def test_publishers_do_not_wait_for_subscribers_that_take_little(start_broker: StartBroker) -> None:
    broker = start_broker(**SMALL, reactor__write_timeout_ms=PATIENCE_MS)
    with ExitStack() as stack:
        publisher = stack.enter_context(client(broker, "publisher"))
        readers: list[tuple[socket.socket, bytearray]] = []
        for i in range(READERS):
            readers.append((stack.enter_context(slow_subscriber(broker, i)), bytearray()))
            publish(publisher, i * ROUND)
            for reader, taken in readers:
                taken += reader.recv(SIP)
        assert metric(broker.http, CHOKES)
        for i, (reader, taken) in enumerate(readers):
            read_until_pong(reader, taken)
            last = i * ROUND - 1
            for kind, content in packets(bytes(taken)):
                if kind == 3:
                    number = int(content[3:10])
                    assert number > last and content[3:] == body(number)
                    last = number
            assert last >= i * ROUND
    assert counted(broker, STALLED) == 0
    assert broker.stop() == 0


def fetch(offset: int) -> bytes:
    partition = struct.pack(">iqi", 0, offset, FETCH_BYTES)
    topic = kafka_wire.text("t") + kafka_wire.array(partition)
    return struct.pack(">iiiib", -1, 0, 1, FETCH_BYTES, 0) + kafka_wire.array(topic)


def is_whole(reader: socket.socket) -> bool:
    """Whether an answer comes to its end."""
    try:
        return bool(kafka_wire.answer(reader))
    except ConnectionError:
        return False


def test_a_fetch_that_holds_more_than_may_be_copied_is_ended(start_broker: StartBroker) -> None:
    broker = start_broker(**LARGER)
    host, port = broker.bootstrap.split(":")
    kafka = (host, int(port))
    with ExitStack() as stack:
        publisher = stack.enter_context(client(broker, "publisher"))
        readers: list[socket.socket] = []
        for first in range(0, YOUNGEST, ROUND):
            publish(publisher, first)
        for i in range(READERS):
            reader = stack.enter_context(connect(kafka, SMALLEST))
            kafka_wire.send(reader, FETCH, fetch(i * ROUND))
            readers.append(reader)
            publish(publisher, YOUNGEST + i * ROUND)
        assert metric(broker.http, CHOKES)
        ended = sum(not is_whole(reader) for reader in readers)
        assert 0 < ended == counted(broker, STALLED)
        again = stack.enter_context(connect(kafka))
        kafka_wire.send(again, FETCH, fetch(0))
        found = kafka_wire.answer(again)
        assert all(body(number) in found for number in range(ROUND))
    assert broker.stop() == 0
