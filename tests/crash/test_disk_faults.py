"""A disk that refuses: the log turns read-only, everybody hears it in his own words, the rest of the broker goes on."""
from __future__ import annotations

import errno
import json
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from tests.conftest import Broker, launch
from tests.crash import history
from tests.crash.disk import Disk
from tests.crash.kafka_wire import OFFSET_COMMIT, array, ask, connect, read_exactly, text
from tests.crash.mqtt_publisher import packet, utf8

SETTINGS = {"storage.segment_bytes": "8MiB", "storage.journal_bytes": "32MiB", "storage.durability": "disk"}
BODY = b"." * 200_000
BURST = 50                      # messages of a burst
MOST = 60 << 20                 # bytes that bring every file of a journal of 32 MiB into play, several times


@dataclass(frozen=True)
class Fault:
    op: str
    error: int
    match: str
    health: str
    puback: int

    def __str__(self) -> str:
        return f"{self.op} {self.match} {errno.errorcode[self.error]}"


FAULTS = [
    Fault("msync", errno.EIO, ".journal", "write error", 0x80),         # a group commit
    Fault("fdatasync", errno.EIO, ".journal", "write error", 0x80),         # a segment being prepared
    Fault("fallocate", errno.ENOSPC, ".journal", "disk is full", 0x97),
    Fault("pwrite", errno.ENOSPC, ".writing", "disk is full", 0x97),    # sealing
    Fault("fdatasync", errno.EIO, ".writing", "write error", 0x80),
    Fault("msync", errno.EIO, "state/0000000000000001.journal", "write error", 0x80),     # of a retired segment
    Fault("fallocate", errno.ENOSPC, "state/0000000000000001.journal", "disk is full", 0x97),
]


@dataclass
class Tally:
    """What a producer was told."""

    acked: set[int] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def deliver(self, error: KafkaError | None, message: object) -> None:
        value = message.value()                                         # type: ignore[attr-defined]
        if error is None:
            self.acked.add(int(value.split(b":")[1]))
        else:
            self.refused.append(error.name())


def produce(broker: Broker, topic: str, numbers: range, tally: Tally, body: bytes = b"") -> None:
    """Every message gets an answer."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "retries": 0, "linger.ms": 0,
                         "log_level": 0, "message.timeout.ms": 20_000})
    for number in numbers:
        producer.produce(topic, b"k:%d:" % number + body, partition=0, on_delivery=tally.deliver)
    assert producer.flush(20) == 0


class Mqtt:
    """A connection that publishes with QoS 1."""

    def __init__(self, broker: Broker, version: int) -> None:
        self.version = version
        self.sock = socket.create_connection(broker.mqtt, timeout=20)
        properties = b"\0" if version == 5 else b""
        self.sock.sendall(packet(0x10, utf8("MQTT") + bytes([version, 2, 0, 0]) + properties + utf8("")))
        assert self.packet()[0] == 0x20

    def packet(self) -> bytes:
        head = read_exactly(self.sock, 2)
        assert head[1] < 128
        return head + read_exactly(self.sock, head[1])

    def publish(self, topic: str, identifiers: range) -> None:
        properties = b"\0" if self.version == 5 else b""
        self.sock.sendall(b"".join(
            packet(0x32, utf8(topic) + struct.pack(">H", number) + properties + b"m:%d:" % number)
            for number in identifiers))

    def reasons(self, n: int) -> list[int]:
        """Of the next n PUBACKs."""
        found = []
        for _ in range(n):
            answer = self.packet()
            assert answer[0] == 0x40
            found.append(answer[4] if answer[1] > 2 else 0)
        return found

    def closed(self) -> bool:
        try:
            return self.sock.recv(100) == b""
        except ConnectionResetError:
            return True


def get(broker: Broker, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(broker.http + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


META_FAULTS = [
    Fault("pwrite", errno.ENOSPC, "meta.sqlite-wal", "disk is full", 0),
    Fault("pwrite", errno.EROFS, "meta.sqlite-wal", "reported an error", 0),
    Fault("fdatasync", errno.EIO, "meta.sqlite-wal", "reported an error", 0),
]


def create_memory_topic(broker: Broker) -> None:
    wanted = {"name": "fleeting", "partitions": 1, "configs": {"robustmq.durability": "memory"}}
    request = urllib.request.Request(broker.http + "/api/v1/topics", json.dumps(wanted).encode(), method="POST",
                                     headers={"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()


def create_topic(broker: Broker, name: str) -> str:
    """The error of a CreateTopics, "" when there was none."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    try:
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(20)
    except KafkaException as error:
        return str(error.args[0].name())
    return ""


def commit_offset(broker: Broker) -> int:
    """The error of an OffsetCommit."""
    partition = struct.pack(">iq", 0, 1) + text("")
    with connect(broker.kafka[1]) as sock:
        answer = ask(sock, OFFSET_COMMIT, text("g") + struct.pack(">i", -1) + text("") + struct.pack(">q", -1) +
                     array(text("safe") + array(partition)))
    return int(struct.unpack(">h", answer[-2:])[0])


def well(broker: Broker) -> tuple[Tally, Tally, Mqtt, Mqtt]:
    """Everything is taken: ten records of "safe", ten messages of "m", an offset. The tallies of "safe" and of
    "fleeting", which is in memory, and publishers of MQTT 5 and 3.1.1."""
    create_memory_topic(broker)
    tally = Tally()
    produce(broker, "safe", range(10), tally)
    new, old = Mqtt(broker, 5), Mqtt(broker, 4)
    new.publish("m", range(1, 11))
    assert new.reasons(10) == [0] * 10 and commit_offset(broker) == ErrorCode.NONE
    return tally, Tally(), new, old


@pytest.fixture(name="disk")
def fixture_disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture(name="stack")
def fixture_stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(disk: Disk, stack: ExitStack, patch: pytest.MonkeyPatch, *, faulty: bool) -> Broker:
    with patch.context() as context:
        for name, value in disk.environment().items() if faulty else ():
            context.setenv(name, value)
        broker = launch(disk.below / "data", SETTINGS)
    stack.callback(broker.stop)
    return broker


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_log_turns_read_only(disk: Disk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    broker = start(disk, stack, monkeypatch, faulty=True)
    tally, fleeting, new, old = well(broker)

    disk.fail(fault.op, fault.error, fault.match)
    sent = 10
    while not tally.refused and sent * len(BODY) < MOST:
        produce(broker, "safe", range(sent, sent + BURST), tally, BODY)
        sent += BURST
    assert set(tally.refused) == {"KAFKA_STORAGE_ERROR"}
    assert len(tally.acked) + len(tally.refused) == sent, "everybody gets an answer"
    tried = disk.seen(fault.op)

    new.publish("m", range(11, 61))
    old.publish("m", range(1, 2))
    assert new.reasons(50) == [fault.puback] * 50 and old.closed()
    assert commit_offset(broker) == ErrorCode.KAFKA_STORAGE_ERROR
    produce(broker, "fleeting", range(10), fleeting)
    assert len(fleeting.acked) == 10, "a topic in memory goes on"
    readable = {sequence for _, sequence in history.stored(broker.kafka[1], "safe", 0)}
    assert tally.acked <= readable, "consumers read on"

    status, body = get(broker, "/health/ready")
    assert status == 503 and fault.health in body and "restart the broker" in body
    assert get(broker, "/health/live")[0] == 200
    assert "robustmq_server_log_writable 0.0" in get(broker, "/metrics")[1]
    assert broker.log.read_text().count("read-only") == 1
    assert broker.stop() == 0
    if "sync" in fault.op:
        assert disk.seen(fault.op) == tried, "a failed sync is not tried again, not even at the end"

    broker = start(disk, stack, monkeypatch, faulty=False)
    assert get(broker, "/health/ready")[0] == 200
    produce(broker, "safe", range(sent, sent + 10), tally)
    found = history.History("safe", exactly_once=True)
    found.read_on(broker.kafka[1])
    assert found.findings + found.missing(tally.acked) == []
    assert max(tally.acked) == sent + 9


def test_what_waits_for_the_sync_is_refused(disk: Disk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored, seen by consumers, and never acknowledged."""
    broker = start(disk, stack, monkeypatch, faulty=True)
    new, old = Mqtt(broker, 5), Mqtt(broker, 4)
    for client, topic in ((new, "new"), (old, "old")):
        client.publish(topic, range(1, 2))
        assert client.reasons(1) == [0]
    disk.fail("msync", errno.EIO, ".journal")
    new.publish("new", range(2, 52))
    assert new.reasons(50) == [0x80] * 50
    old.publish("old", range(2, 3))
    assert old.closed()


@pytest.mark.parametrize("fault", META_FAULTS, ids=str)
def test_the_metadata_store_turns_read_only(disk: Disk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch,
                                            fault: Fault) -> None:
    """By itself: messages go on."""
    broker = start(disk, stack, monkeypatch, faulty=True)
    tally = Tally()
    assert create_topic(broker, "safe") == ""
    disk.fail(fault.op, fault.error, fault.match, times=1)
    assert create_topic(broker, "first") == "KAFKA_STORAGE_ERROR"
    assert disk.seen(fault.op) >= 1
    assert create_topic(broker, "second") == "KAFKA_STORAGE_ERROR", "until the restart, though the disk would take it"

    produce(broker, "safe", range(10), tally)
    produce(broker, "of.itself", range(10, 20), tally)
    assert tally.acked == set(range(20))
    client = Mqtt(broker, 5)
    client.publish("m", range(1, 11))
    assert client.reasons(10) == [0] * 10 and commit_offset(broker) == ErrorCode.NONE
    status, body = get(broker, "/health/ready")
    assert status == 503 and "metadata store" in body and fault.health in body and "restart the broker" in body
    assert get(broker, "/health/live")[0] == 200
    metrics = get(broker, "/metrics")[1]
    assert "robustmq_server_metadata_writable 0.0" in metrics and "robustmq_server_log_writable 1.0" in metrics
    assert broker.log.read_text().count("read-only") == 1
    assert broker.stop() == 0

    broker = start(disk, stack, monkeypatch, faulty=False)
    assert get(broker, "/health/ready")[0] == 200
    assert create_topic(broker, "second") == ""
    assert {sequence for _, sequence in history.stored(broker.kafka[1], "safe", 0)} == set(range(10))


def test_no_space_at_the_start_is_one_sentence(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.fail("fallocate", errno.ENOSPC, ".journal")
    for name, value in disk.environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AssertionError, match=r"ended with 2: robustmq-server: [^\n]*disk is full; free space[^\n]*\n$"):
        launch(disk.below / "data", SETTINGS)
    assert [path.name for path in (disk.below / "data" / "journal").iterdir()] == ["FORMAT"]


def test_a_quota_is_no_broken_disk(disk: Disk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite has one word for both."""
    broker = start(disk, stack, monkeypatch, faulty=True)
    disk.fail("pwrite", errno.EDQUOT, "meta.sqlite-wal", times=1)
    disk.fail("fallocate", errno.EDQUOT, ".probe")
    assert create_topic(broker, "first") == "KAFKA_STORAGE_ERROR"
    status, body = get(broker, "/health/ready")
    assert status == 503 and "the metadata store is read-only: the disk is full" in body
    assert disk.seen("fallocate") == 1 and not list((disk.below / "data").glob("*.probe"))
