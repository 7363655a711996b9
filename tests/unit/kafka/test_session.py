"""Frames and turns: what is let in, what goes to the control plane, and what closes a connection."""
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode

from .rig import Rig, batch, framed, frames, produced

FRAME, ANSWER, ANSWER_AND_CLOSE = 1, 1, 2
MALFORMED, TOO_LARGE, PROTOCOL_ERROR, UNSUPPORTED = 16, 17, 18, 19


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(max_request_bytes=9 << 20)
    rig.topic("orders")
    yield rig
    rig.close()


def header(key: int, version: int, correlation: int = 1) -> bytes:
    return struct.pack(">hhih", key, version, correlation, -1)


def test_a_cold_request_is_posted_whole_and_parks(rig: Rig) -> None:
    host = rig.host()
    metadata = header(3, 12) + b"\0anything"
    assert host.feed(framed(metadata) + framed(header(18, 3) + b"\0")) == b""
    assert host.parked
    assert host.posted() == [(FRAME, metadata)]
    assert host.answer(ANSWER, b"response") == framed(b"response")
    assert host.posted() == [(FRAME, header(18, 3) + b"\0")]
    assert host.answer(ANSWER, b"") == b""
    assert not host.parked


@pytest.mark.parametrize("data", [b"", b"bye"])
def test_an_answer_and_close(rig: Rig, data: bytes) -> None:
    host = rig.host()
    host.feed(framed(header(3, 12)) + framed(header(3, 12)))
    assert host.answer(ANSWER_AND_CLOSE, data) == (framed(data) if data else b"")
    assert host.status == PROTOCOL_ERROR
    assert len(host.posted()) == 1


@pytest.mark.parametrize("version", [-1, 5, 32767])
def test_api_versions_of_any_version_is_answered(rig: Rig, version: int) -> None:
    """KIP-511: the control plane answers it in version 0 with error 35."""
    host = rig.host()
    host.feed(framed(header(18, version)))
    assert host.posted() == [(FRAME, header(18, version))]


@pytest.mark.parametrize(("key", "version"), [
    (0, 2), (0, 0), (0, 14), (0, -1), (1, 3), (1, 19), (3, 14), (3, -1), (2, 1), (127, 0), (128, 0), (-1, 0),
    (32767, 0), (-32768, 0),
])
def test_what_is_not_advertised_closes(rig: Rig, key: int, version: int) -> None:
    host = rig.host()
    assert host.feed(framed(header(key, version))) == b""
    assert host.status == UNSUPPORTED
    assert host.posted() == []


@pytest.mark.parametrize(("data", "status"), [
    (b"GET / HTTP/1.1\r\n\r\n", TOO_LARGE),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", TOO_LARGE),
    (b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c", TOO_LARGE),
    (struct.pack(">i", -1), TOO_LARGE),
    (struct.pack(">i", 0), MALFORMED),
    (struct.pack(">i", 7), MALFORMED),
    (struct.pack(">i", (9 << 20) + 1), TOO_LARGE),
    (struct.pack(">i", (8 << 20) + 1) + header(3, 12), TOO_LARGE),
    (struct.pack(">i", (8 << 20) + 1) + header(1, 12), TOO_LARGE),
])
def test_a_bad_size_closes_before_anything_is_buffered(rig: Rig, data: bytes, status: int) -> None:
    host = rig.host()
    host.feed(data)
    assert host.status == status
    assert host.need == 0


def test_a_large_produce_asks_for_room_once(rig: Rig) -> None:
    request = rig.produce(9, {"orders": {0: batch(b"x" * 1_000_000)}})
    host = rig.host()
    host.feed(request[:11])
    assert host.need == 0
    host.feed(request[11:12])
    assert host.need == len(request)
    assert len(frames(host.feed(request[12:]))) == 1


def test_header_tags_are_skipped(rig: Rig) -> None:
    request = rig.produce(9, {"orders": {0: batch()}})[4:]
    at = 8 + 2 + len("tester")
    assert request[at] == 0
    tagged = request[:at] + b"\x02\x05\x03abc\x90\x4e\x01z" + request[at + 1:]
    (payload,) = frames(rig.host().feed(framed(tagged)))
    assert produced(9, payload)[1].responses[0].partition_responses[0].error_code == 0


def test_garbage_never_harms(rig: Rig) -> None:
    """Random damage to good requests: an answer or a close, and the broker serves on."""
    dice = random.Random(20260101)
    good = [make(version) for version in range(4, 14)
            for make in (lambda v: rig.produce(v, {"orders": {0: batch(b"a", b"b")}}),
                         lambda v: rig.fetch(v, {"orders": {0: 0}, "b": {1: 5}}))]
    for _ in range(5000):
        data = bytearray(dice.choice(good))
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(12, len(data))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        host = rig.host()
        host.feed(bytes(data))
        host.close(31)
    assert len(frames(rig.host().feed(rig.produce(9, {"orders": {0: batch()}})))) == 1


def test_every_status_has_its_own_row() -> None:
    """errors.pxd: no status is left to a plausible default, and each code is Kafka's."""
    room = Path(__file__).parents[3] / "robustmq/_fastpath"
    statuses = enumerators((room / "status.pxd").read_text(), "Status")
    table = (room / "protocols/kafka/errors.pxd").read_text()
    rows = table[table.index("cdef inline int16_t error_of"):]
    for name in statuses:
        assert rows.count(f"Status.{name}:") + rows.count(f"Status.{name} or") == 1, name
    for name, code in enumerators(table, "KafkaError").items():
        assert ErrorCode[name] == code


def enumerators(source: str, enum: str) -> dict[str, int]:
    body = source[source.index(f"cdef enum {enum}:"):].split("\n\n\n")[0]
    return {name: int(value) for name, value in
            (line.split("#")[0].split("=") for line in body.splitlines() if "=" in line.split("#")[0])
            for name in [name.strip()]}
