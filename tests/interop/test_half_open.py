"""Clients that open a connection and never finish a CONNECT: they cost little, end in time, nobody waits for them."""
from __future__ import annotations

import re
import resource
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Broker, StartBroker
from tests.crash.kafka_wire import read_exactly
from tests.crash.mqtt_publisher import packet, utf8

STRANGERS = 10_000
KIB_EACH = 4                        # resident, of the broker
CONNECT = packet(0x10, utf8("MQTT") + bytes([4, 2, 0, 0]) + utf8("good"))


@pytest.fixture
def strangers() -> Iterator[int]:
    """How many descriptors allow, of STRANGERS."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield min(STRANGERS, most - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def resident_kib(broker: Broker) -> int | None:
    status = Path(f"/proc/{broker.process.pid}/status")
    return int(re.findall(r"VmRSS:\s+(\d+)", status.read_text())[0]) if status.exists() else None


def test_ten_thousand_half_open_connections(start_broker: StartBroker, strangers: int) -> None:
    broker = start_broker(mqtt__connect_timeout_ms=5000, storage__durability="process")
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        good = stack.enter_context(socket.create_connection(broker.mqtt, timeout=60))
        good.sendall(CONNECT)
        assert read_exactly(good, 4) == b"\x20\2\0\0"
        before = resident_kib(broker)
        for number in range(strangers):
            stranger = stack.enter_context(socket.create_connection(broker.mqtt, timeout=60))
            stranger.sendall(CONNECT[:number % len(CONNECT)])       # none at all, up to all but the last byte
            selector.register(stranger, selectors.EVENT_READ)
            if number % 100 == 0:                                   # who is accepted is served meanwhile
                good.sendall(packet(0x32, utf8("t") + b"\0\1x"))
                assert read_exactly(good, 4) == b"\x40\2\0\1"
        after = resident_kib(broker)
        if before is not None and after is not None:
            assert after - before <= KIB_EACH * strangers
        left = strangers
        while left:
            ready = selector.select(60)
            assert ready, f"{left} connections are still open"
            for key, _ in ready:
                assert key.fileobj.recv(16) == b""                  # type: ignore[union-attr]
                selector.unregister(key.fileobj)
                left -= 1
        good.sendall(packet(0x32, utf8("t") + b"\0\2x"))
        assert read_exactly(good, 4) == b"\x40\2\0\2"
    assert broker.stop() == 0
