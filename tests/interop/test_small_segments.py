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


def test_the_memory_store_does_not_bound_what_goes_to_the_disk(start_broker: StartBroker) -> None:
    """Each topic's store has an entry of its own length."""
    broker = start_broker(storage__memory_bytes="1MiB", storage__segment_bytes="8MiB", storage__journal_bytes="32MiB",
                          mqtt__max_packet_size="1MiB")
    with socket.create_connection(broker.mqtt, timeout=60) as sock:
        sock.sendall(packet(0x10, utf8("MQTT") + bytes([4, 2, 0, 0]) + utf8("large")))
        assert read_exactly(sock, 4)[3] == 0
        sock.sendall(packet(0x32, utf8("large") + b"\0\1" + b"." * 1_000_000))
        assert read_exactly(sock, 4) == b"\x40\2\0\1"
