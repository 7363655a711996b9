"""Files that are cut short under a whole broker: it goes on, says so, and acknowledges nothing that is not there."""
from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path

import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from tests.conftest import Broker, StartBroker
from tests.crash import history
from tests.crash.kafka_wire import array, ask, connect, read_exactly, send, text
from tests.crash.test_disk_faults import Tally, commit_offset, get, produce, well
from tests.interop.kit import reaches

PAGE = 4096
FETCH = (1, 4)
BODY = b"." * 5000


def cut(broker: Broker, word: bytes) -> Path:
    """The journal, at the first page behind `word`."""
    [file] = [file for file in (broker.data_dir / "journal").glob("*.journal") if word in file.read_bytes()]
    os.truncate(file, (file.read_bytes().rindex(word) // PAGE + 1) * PAGE)
    return file


def fetch(topic: str, offset: int, max_bytes: int) -> bytes:
    partition = struct.pack(">iqi", 0, offset, max_bytes)
    return struct.pack(">iiiib", -1, 0, 0, max_bytes, 0) + array(text(topic) + array(partition))


def error_of(response: bytes) -> int:
    """The only partition's."""
    at = 4 + 4 + 2 + struct.unpack_from(">h", response, 8)[0] + 4 + 4
    return int(struct.unpack_from(">h", response, at)[0])


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_journal_that_is_cut_short(tmp_path: Path, start_broker: StartBroker, durability: str) -> None:
    settings = {"storage__durability": durability, "storage__segment_bytes": "8MiB", "storage__journal_bytes": "32MiB"}
    broker = start_broker(data_dir=tmp_path / "data", **settings)
    tally, fleeting, new, old = well(broker)

    file = cut(broker, b"m:10:")
    produce(broker, "safe", range(10, 60), tally, BODY)
    assert set(tally.refused) == {"KAFKA_STORAGE_ERROR"} and len(tally.acked) + len(tally.refused) == 60
    new.publish("m", range(11, 61))
    old.publish("m", range(1, 2))
    assert new.reasons(50) == [0x80] * 50 and old.closed()
    assert commit_offset(broker) == ErrorCode.KAFKA_STORAGE_ERROR
    left = file.read_bytes()
    os.truncate(file, 0)
    with connect(broker.kafka[1]) as sock:
        assert error_of(ask(sock, FETCH, fetch("safe", 0, 1 << 20))) == ErrorCode.KAFKA_STORAGE_ERROR
    produce(broker, "fleeting", range(10), fleeting)
    assert len(fleeting.acked) == 10, "a topic in memory goes on"
    status, body = get(broker, "/health/ready")
    assert status == 503 and "write error" in body
    assert get(broker, "/health/live")[0] == 200
    assert broker.log.read_text().count("read-only") == 1
    assert broker.stop() == 0

    file.write_bytes(left)
    broker = start_broker(data_dir=tmp_path / "data", **settings)
    assert get(broker, "/health/ready")[0] == 200
    produce(broker, "safe", range(60, 70), tally)
    found = history.History("safe", exactly_once=True)
    found.read_on(broker.kafka[1])
    assert found.findings + found.missing(tally.acked) == []
    assert max(tally.acked) == 69


def test_sealed_files_that_are_cut_short(tmp_path: Path, start_broker: StartBroker) -> None:
    """What is queued for a slow consumer ends with its connection, not with zeros."""
    broker = start_broker(data_dir=tmp_path / "data", storage__durability="process", storage__segment_bytes="4MiB",
                          storage__journal_bytes="16MiB", kafka__message_max_bytes=1_000_000)
    tally = Tally()
    produce(broker, "old", range(2500), tally, BODY * 4)
    assert len(tally.acked) == 2500
    assert reaches(broker.http, "robustmq_journal_wal_retired_total", 5, seconds=60)
    with connect(broker.kafka[1]) as before, connect(broker.kafka[1]) as slow, connect(broker.kafka[1]) as after:
        whole = ask(before, FETCH, fetch("old", 0, 20 << 20))
        assert len(whole) > 16 << 20 and error_of(whole) == 0
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        send(slow, FETCH, fetch("old", 0, 20 << 20))
        head = read_exactly(slow, 4)
        for file in (broker.data_dir / "sealed").glob("*.sealed"):
            os.truncate(file, 0)
        assert error_of(ask(after, FETCH, fetch("old", 0, 1 << 20))) == ErrorCode.CORRUPT_MESSAGE
        arrived = bytearray()
        with pytest.raises(OSError):
            while len(arrived) < struct.unpack(">i", head)[0]:
                arrived += read_exactly(slow, 1)
                arrived += slow.recv(1 << 20)
        arrived = arrived[4:]
        assert arrived == whole[:len(arrived)], "no byte that is not the record's"
        produce(broker, "new", range(10), tally)
        produce(broker, "old", range(2500, 2510), tally)
        assert len(tally.acked) == 2510 and tally.refused == []
        assert error_of(ask(after, FETCH, fetch("new", 0, 1 << 20))) == 0
        status, body = get(broker, "/health/ready")
        assert status == 200 and "a sealed file of the log cannot be read" in json.loads(body)["degraded"]
    assert broker.log.read_text().count("cannot be read") == 1
    assert broker.stop() == 0
