"""Subscribers that do not read hold so much of the journal that it has no room: publishers wait, nobody is refused."""
from __future__ import annotations

import select
import socket
import struct
import time
import urllib.request
from contextlib import ExitStack

from tests.conftest import Broker, StartBroker
from tests.crash.kafka_wire import read_exactly
from tests.crash.mqtt_publisher import packet, utf8
from tests.interop.kit import SMALL, metric

BODY = b"." * 60_000
ROUND = 40                      # messages: more than two segments
READERS_MAX = 60
KEEP_ALIVE_S = 1
CHOKES = "robustmq_journal_wal_chokes_total"


def connect(broker: Broker, name: str, receive_buffer: int = 0, keep_alive_s: int = 0) -> socket.socket:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(60)
    sock.connect(broker.mqtt)
    sock.sendall(packet(0x10, utf8("MQTT") + bytes([4, 2]) + struct.pack(">H", keep_alive_s) + utf8(name)))
    assert read_exactly(sock, 4)[3] == 0
    return sock


def counted(broker: Broker, name: str) -> float:
    """By all reactors."""
    with urllib.request.urlopen(f"{broker.http}/metrics", timeout=10) as page:
        found = [float(line.split()[-1]) for line in page.read().decode().splitlines() if line.startswith(name)]
    assert found
    return sum(found)


def test_publishers_wait_for_slow_readers(start_broker: StartBroker) -> None:
    broker = start_broker(**SMALL)
    with ExitStack() as stack:
        publisher = stack.enter_context(connect(broker, "publisher", keep_alive_s=KEEP_ALIVE_S))
        readers: list[socket.socket] = []
        sent = acknowledged = 0
        while acknowledged == sent:
            assert len(readers) < READERS_MAX, "they hold nothing"
            reader = stack.enter_context(connect(broker, f"reader{len(readers)}", receive_buffer=4096))
            reader.sendall(packet(0x82, b"\0\1" + utf8("t") + b"\0"))
            assert read_exactly(reader, 5)[4] == 0
            readers.append(reader)
            publisher.sendall(b"".join(packet(0x32, utf8("t") + struct.pack(">H", number + 1) + BODY)
                                       for number in range(ROUND)))
            sent += ROUND
            while acknowledged < sent:
                if select.select([publisher], [], [], 0.1)[0]:
                    assert read_exactly(publisher, 4)[0] == 0x40
                    acknowledged += 1
                elif metric(broker.http, CHOKES):
                    break
        late = stack.enter_context(socket.create_connection(broker.mqtt))
        late.settimeout(60)
        late.sendall(packet(0x10, utf8("MQTT") + bytes([4, 2, 0, 0]) + utf8("late")))
        publisher.sendall(packet(0xC0, b""))
        time.sleep(2 * KEEP_ALIVE_S)                    # its keep-alive is over one and a half times that
        for reader in readers:
            reader.close()
        while acknowledged < sent:
            first = read_exactly(publisher, 2)[0]
            if first == 0x40:
                read_exactly(publisher, 2)
                acknowledged += 1
            else:
                assert first == 0xD0
        assert read_exactly(late, 4)[3] == 0
    for name in ("dropped_unpublishable", "events_lost", "keep_alive_expired"):
        assert counted(broker, f"robustmq_mqtt_{name}_total") == 0
    assert broker.stop() == 0
