"""Produce in every version: layouts, what is stored, what is refused, and when the answer leaves."""
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from robustmq._fastpath.crc import crc32c_bytes

from robustmq._fastpath.protocols.kafka.errors import ErrorCode as E

from .rig import EXPIRATION_MS, PRODUCE_VERSIONS, Rig, at_offset, batch, fetched, frames, outcomes, produced, records_of

MALFORMED, PROTOCOL_ERROR, TOO_LARGE, UNSUPPORTED = 16, 18, 17, 19


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    rig.topic("orders", partitions=2)
    yield rig
    rig.close()


def one(rig: Rig, data: bytes | None, version: int = 9, topic: str = "orders", partition: int = 0,
        **more: object) -> tuple[int, int, int]:
    """The outcome of producing one batch on a new connection."""
    (payload,) = frames(rig.host().feed(rig.produce(version, {topic: {partition: data}}, **more)))
    return outcomes(produced(version, payload)[1])[0]


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
def test_every_version_stores_and_answers(rig: Rig, version: int) -> None:
    first, second = batch(b"a", b"b"), batch(b"c")
    request = rig.produce(version, {"orders": {0: first, 1: second}, "absent": {0: first}}, correlation=77)
    (payload,) = frames(rig.host().feed(request))
    correlation, response = produced(version, payload)
    assert correlation == 77
    unknown = E.UNKNOWN_TOPIC_ID if version >= 13 else E.UNKNOWN_TOPIC_OR_PARTITION
    assert outcomes(response) == [(0, 0, 0), (1, 0, 0), (0, unknown, -1)]
    if version <= 12:
        assert [topic.name for topic in response.responses] == ["orders", "absent"]
    else:
        assert response.responses[0].topic_id == rig.ids["orders"]
    stored = response.responses[0].partition_responses[0]
    assert stored.log_append_time_ms == -1
    assert stored.log_start_offset == (0 if version >= 5 else -1)
    assert outcomes(produced(version, frames(rig.host().feed(
        rig.produce(version, {"orders": {0: first}})))[0])[1]) == [(0, 0, 2)]
    (payload,) = frames(rig.host().feed(rig.fetch(12, {"orders": {0: 0}})))
    assert records_of(fetched(12, payload)[1]) == {0: (0, at_offset(first, 0) + at_offset(first, 2))}


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
def test_cut_at_every_byte(rig: Rig, version: int) -> None:
    request = rig.produce(version, {"orders": {0: batch(b"a"), 1: batch(b"b")}})
    for cut in range(len(request)):
        host = rig.host()
        assert host.feed(request[:cut]) == b""
        assert host.status == 0
        assert host.need in (0, len(request))
        (payload,) = frames(host.feed(request[cut:]))
        assert [error for _, error, _ in outcomes(produced(version, payload)[1])] == [0, 0]


@pytest.mark.parametrize("version", PRODUCE_VERSIONS)
def test_a_frame_that_ends_early_appends_nothing(rig: Rig, version: int) -> None:
    whole = rig.produce(version, {"orders": {0: batch(b"a"), 1: batch(b"b")}})[4:]
    for n in range(8, len(whole)):
        host = rig.host()
        assert host.feed(n.to_bytes(4, "big") + whole[:n]) == b""
        assert host.status == MALFORMED
    host = rig.host()
    host.feed((len(whole) + 1).to_bytes(4, "big") + whole + b"\0")
    assert host.status == MALFORMED
    assert one(rig, batch(b"first")) == (0, 0, 0)


@pytest.mark.parametrize(("data", "error"), [
    (None, E.INVALID_RECORD),
    (b"", E.INVALID_RECORD),
    (batch(b"a")[:60], E.INVALID_RECORD),
    (batch(b"a") + batch(b"b"), E.INVALID_RECORD),
    (batch(b"a")[:-1] + b"?", E.CORRUPT_MESSAGE),
    (batch(b"a", magic=1), E.UNSUPPORTED_FOR_MESSAGE_FORMAT),
    (batch(b"a", attributes=32), E.INVALID_RECORD),
    (batch(b"a", attributes=16), E.INVALID_TXN_STATE),
    (batch(b"a", producer_id=5), E.INVALID_RECORD),
    (batch(b"x" * 1_100_000), E.MESSAGE_TOO_LARGE),
])
def test_refused_batches(rig: Rig, data: bytes | None, error: int) -> None:
    assert one(rig, data) == (0, error, -1)
    assert one(rig, batch(b"next")) == (0, 0, 0)


def test_zstd_needs_version_7(rig: Rig) -> None:
    assert one(rig, batch(b"a", attributes=4), version=6) == (0, E.UNSUPPORTED_COMPRESSION_TYPE, -1)
    assert one(rig, batch(b"a", attributes=4), version=7) == (0, 0, 0)


@pytest.mark.parametrize("partition", [2, -1, 2**31 - 1])
def test_unknown_partition(rig: Rig, partition: int) -> None:
    assert one(rig, batch(), partition=partition) == (partition, E.UNKNOWN_TOPIC_OR_PARTITION, -1)


@pytest.mark.parametrize("version", [7, 8, 9, 13])
def test_a_compacted_topic_needs_keys(rig: Rig, version: int) -> None:
    rig.topic("table", compacted=True)
    request = rig.produce(version, {"table": {0: batch(b"a", key=None)}})
    (payload,) = frames(rig.host().feed(request))
    (refused,) = produced(version, payload)[1].responses[0].partition_responses
    assert refused.error_code == E.INVALID_RECORD
    if version >= 8:
        assert [item.batch_index for item in refused.record_errors] == [0]
        assert "key" in refused.error_message
    assert one(rig, batch(b"a"), topic="table")[1] == 0


def test_internal_topics_are_closed_to_clients(rig: Rig) -> None:
    rig.topic("__consumer_offsets", internal=True)
    assert one(rig, batch(), topic="__consumer_offsets")[1] == E.INVALID_TOPIC_EXCEPTION


def test_log_append_time_is_the_broker_s_to_set(rig: Rig) -> None:
    raw = bytearray(batch())
    raw[22] |= 8
    raw[17:21] = crc32c_bytes(bytes(raw[21:])).to_bytes(4, "big")
    assert one(rig, bytes(raw))[1] == E.INVALID_TIMESTAMP


@pytest.mark.parametrize(("more", "error"), [
    ({"acks": 2}, E.INVALID_REQUIRED_ACKS),
    ({"acks": -2}, E.INVALID_REQUIRED_ACKS),
    ({"transactional_id": "t"}, E.INVALID_TXN_STATE),
])
def test_a_request_that_cannot_be_served(rig: Rig, more: dict[str, object], error: int) -> None:
    assert one(rig, batch(), **more) == (0, error, -1)
    assert one(rig, batch()) == (0, 0, 0)


def test_acks_0_is_silent_and_an_error_closes(rig: Rig) -> None:
    host = rig.host()
    assert host.feed(rig.produce(9, {"orders": {0: batch()}}, acks=0)) == b""
    assert host.status == 0
    assert one(rig, batch()) == (0, 0, 1)
    assert host.feed(rig.produce(9, {"absent": {0: batch()}}, acks=0)) == b""
    assert host.status == PROTOCOL_ERROR


def test_the_answer_waits_for_the_disk_while_requests_go_on(rig: Rig) -> None:
    rig.topic("safe", durability="disk")
    host = rig.host()
    assert host.feed(b"".join(rig.produce(9, {"safe": {0: batch()}}, correlation=i) for i in range(3))) == b""
    assert host.unparsed == 0
    first = host.awaits_sync
    assert host.feed(rig.produce(9, {"orders": {0: batch()}}, correlation=3)) == b""     # safe by now, but not its turn
    got = [produced(9, payload)[0] for payload in frames(host.sync(first))]
    assert got == [0]
    assert host.awaits_sync > first
    got = [produced(9, payload)[0] for payload in frames(host.sync(1 << 62))]
    assert got == [1, 2, 3]
    assert host.awaits_sync == 0


@pytest.mark.parametrize("version", range(3, 14))
def test_a_failed_sync_takes_back_what_waits_for_the_disk(rig: Rig, version: int) -> None:
    rig.topic("safe", partitions=3, durability="disk")
    host = rig.host()
    parts = {"safe": {0: batch(), 1: None, 2: batch(b"x")}, "orders": {0: None}}
    host.feed(rig.produce(version, parts, correlation=1) +
              rig.produce(version, {"orders": {0: batch()}}, correlation=2))
    first, second = (produced(version, payload) for payload in frames(host.sync_failed()))
    assert (first[0], second[0]) == (1, 2)
    safe, orders = (topic.partition_responses for topic in first[1].responses)
    assert [part.error_code for part in safe] == [E.KAFKA_STORAGE_ERROR, E.INVALID_RECORD, E.KAFKA_STORAGE_ERROR]
    assert [(part.base_offset, part.log_start_offset) for part in safe] == [(-1, -1)] * 3
    assert orders[0].error_code == E.INVALID_RECORD
    assert second[1].responses[0].partition_responses[0].error_code == E.NONE
    assert host.awaits_sync == 0 and host.status == 0


def test_another_api_waits_for_its_turn(rig: Rig) -> None:
    rig.topic("safe", durability="disk")
    host = rig.host()
    assert host.feed(rig.produce(9, {"safe": {0: batch()}}, correlation=1) +
                     rig.fetch(12, {"safe": {0: 0}}, correlation=2) +
                     rig.produce(9, {"safe": {0: batch()}}, correlation=3)) == b""
    assert host.parked
    first, second = frames(host.sync())
    assert produced(9, first)[0] == 1
    assert fetched(12, second)[0] == 2
    assert [produced(9, payload)[0] for payload in frames(host.sync())] == [3]


def test_responses_that_wait_are_bounded(rig: Rig) -> None:
    rig.topic("safe", durability="disk")
    host = rig.host()
    host.feed(b"".join(rig.produce(9, {"safe": {0: batch()}}, correlation=i) for i in range(1000)))
    assert host.parked
    assert host.unparsed > 0
    got = []
    while host.awaits_sync:
        got += [produced(9, payload)[0] for payload in frames(host.sync(1 << 62))]
    assert got == list(range(1000))


def test_counters(rig: Rig) -> None:
    data = batch(b"a", b"b")
    one(rig, data)
    one(rig, None)
    counters = rig.protocol.counters()
    assert counters["produced_bytes"] == len(data)
    assert counters["produced_records"] == 2
    assert counters["requests"][0] == 2
    assert counters["errors"] == {E.INVALID_RECORD: 1}


def test_a_silent_producer_is_forgotten(rig: Rig) -> None:
    """producer.id.expiration.ms counts from the wall clock of the Produce."""
    def send(sequence: int) -> int:
        return one(rig, batch(b"a", producer_id=5, producer_epoch=0, base_sequence=sequence))[1]

    assert [send(0), send(7)] == [0, E.OUT_OF_ORDER_SEQUENCE_NUMBER]
    now_ms = time.time_ns() // 1_000_000
    rig.log.retain(now_ms)
    assert send(7) == E.OUT_OF_ORDER_SEQUENCE_NUMBER
    rig.log.retain(now_ms + EXPIRATION_MS - 60_000)
    assert send(7) == E.OUT_OF_ORDER_SEQUENCE_NUMBER
    rig.log.retain(now_ms + EXPIRATION_MS + 1000)
    assert [send(7), send(9), send(8)] == [0, E.OUT_OF_ORDER_SEQUENCE_NUMBER, 0]
