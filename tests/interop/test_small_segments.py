"""The smallest journal that is allowed, under the largest bursts: publishers wait for sealing, nothing is refused."""
from __future__ import annotations

import socket
import struct
import threading

from tests.conftest import StartBroker
from tests.crash.kafka_wire import read_exactly
from tests.crash.mqtt_publisher import packet, utf8
from tests.interop.kit import SMALL

BODY = b"." * 1000
BURST, BURSTS, CLIENTS = 300, 12, 8              # a burst is larger than the largest entry of such a journal


def publish(address: tuple[str, int], name: str, acknowledged: list[int]) -> None:
    with socket.create_connection(address, timeout=60) as sock:
        sock.sendall(packet(0x10, utf8("MQTT") + bytes([4, 2, 0, 0]) + utf8(name)))
        assert read_exactly(sock, 4)[3] == 0
        for _ in range(BURSTS):
            sock.sendall(b"".join(packet(0x32, utf8(name) + struct.pack(">H", number) + BODY)
                                  for number in range(1, BURST + 1)))
            answers = read_exactly(sock, 4 * BURST)
            acknowledged.append(sum(answers[at] == 0x40 for at in range(0, len(answers), 4)))


def test_nothing_is_refused(start_broker: StartBroker) -> None:
    broker = start_broker(**SMALL, mqtt__max_queued="1000")
    acknowledged: list[int] = []
    threads = [threading.Thread(target=publish, args=(broker.mqtt, f"small{i}", acknowledged)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(acknowledged) == CLIENTS * BURSTS * BURST
