"""Fetch in every version: layouts, limits, errors, and the long poll."""
from collections.abc import Iterator
from threading import Semaphore, Thread
from time import monotonic

import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode as E

from .rig import FETCH_VERSIONS, Rig, at_offset, batch, fetched, frames, produced, records_of

MALFORMED = 16
SMALL, LARGE = batch(b"s" * 100), batch(b"l" * 5000)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    rig.topic("orders", partitions=3)
    yield rig
    rig.close()


def put(rig: Rig, partition: int, *batches: bytes) -> None:
    for data in batches:
        (payload,) = frames(rig.host().feed(rig.produce(9, {"orders": {partition: data}})))
        assert produced(9, payload)[1].responses[0].partition_responses[0].error_code == 0


def get(rig: Rig, offsets: dict[int, int], version: int = 12, **limits: int) -> dict[int, tuple[int, bytes]]:
    (payload,) = frames(rig.host().feed(rig.fetch(version, {"orders": offsets}, **limits)))
    return records_of(fetched(version, payload)[1])


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_every_version(rig: Rig, version: int) -> None:
    put(rig, 0, SMALL, LARGE, SMALL)
    put(rig, 1, batch(b"a", b"b"))
    request = rig.fetch(version, {"orders": {0: 1, 1: 1, 2: 0}, "absent": {4: 0}}, correlation=-5)
    (payload,) = frames(rig.host().feed(request))
    correlation, response = fetched(version, payload)
    assert correlation == -5
    assert (response.throttle_time_ms, response.error_code, response.session_id) == (0, 0, 0)
    assert records_of(response) == {0: (0, at_offset(LARGE, 1) + at_offset(SMALL, 2)),
                                    1: (0, at_offset(batch(b"a", b"b"), 0)), 2: (0, b"")}
    for partition, end in zip(response.responses[0].partitions, (3, 2, 0), strict=True):
        assert partition.high_watermark == partition.last_stable_offset == end
        assert partition.log_start_offset == (0 if version >= 5 else -1)
        assert partition.aborted_transactions == []
        assert partition.preferred_read_replica == -1
    unknown = E.UNKNOWN_TOPIC_ID if version >= 13 else E.UNKNOWN_TOPIC_OR_PARTITION
    (absent,) = response.responses[1].partitions
    assert (absent.partition_index, absent.error_code, absent.high_watermark) == (4, unknown, -1)
    if version <= 12:
        assert [topic.topic for topic in response.responses] == ["orders", "absent"]
    else:
        assert response.responses[0].topic_id == rig.ids["orders"]


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_cut_at_every_byte(rig: Rig, version: int) -> None:
    put(rig, 0, SMALL)
    request = rig.fetch(version, {"orders": {0: 0, 1: 0}, "absent": {0: 0}})
    expected = rig.host().feed(request)
    for cut in range(len(request)):
        host = rig.host()
        assert host.feed(request[:cut]) == b""
        assert host.feed(request[cut:]) == expected


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_a_frame_that_ends_early_closes(rig: Rig, version: int) -> None:
    whole = rig.fetch(version, {"orders": {0: 0, 1: 0}})[4:]
    for n in range(8, len(whole)):
        host = rig.host()
        assert host.feed(n.to_bytes(4, "big") + whole[:n]) == b""
        assert host.status == MALFORMED


def test_no_topics_is_answered_at_once(rig: Rig) -> None:
    (payload,) = frames(rig.host().feed(rig.fetch(12, {}, max_wait_ms=1000)))
    assert fetched(12, payload)[1].responses == []


def test_limits(rig: Rig) -> None:
    put(rig, 0, LARGE, LARGE, SMALL)
    put(rig, 1, SMALL, SMALL)
    large, small = at_offset(LARGE, 0), at_offset(SMALL, 0)
    assert get(rig, {0: 0, 1: 0}, max_bytes=1) == {0: (0, large), 1: (0, b"")}          # KIP-74: the first always comes
    assert get(rig, {0: 0, 1: 0}, partition_max_bytes=1) == {0: (0, large), 1: (0, b"")}
    assert get(rig, {2: 0, 0: 0}, max_bytes=1) == {2: (0, b""), 0: (0, large)}
    assert get(rig, {1: 0, 0: 0}, max_bytes=len(LARGE)) == {1: (0, small + at_offset(SMALL, 1)), 0: (0, b"")}
    assert get(rig, {0: 0}, partition_max_bytes=2 * len(LARGE)) == {0: (0, large + at_offset(LARGE, 1))}
    assert get(rig, {0: 0}, partition_max_bytes=2 * len(LARGE) - 1) == {0: (0, large)}
    assert get(rig, {0: 0}, max_bytes=-1, partition_max_bytes=-1) == {0: (0, large)}


@pytest.mark.parametrize("offset", [-1, 3, 1 << 62])
def test_out_of_range_is_told_at_once(rig: Rig, offset: int) -> None:
    put(rig, 0, SMALL, SMALL)
    assert get(rig, {1: 0, 0: offset}, max_wait_ms=1000) == {1: (0, b""), 0: (E.OFFSET_OUT_OF_RANGE, b"")}


def test_leader_epochs(rig: Rig) -> None:
    put(rig, 0, SMALL)
    assert get(rig, {0: 0}, leader_epoch=0)[0] == (0, at_offset(SMALL, 0))
    assert get(rig, {0: 0}, leader_epoch=1)[0] == (E.UNKNOWN_LEADER_EPOCH, b"")


def test_a_session_that_nobody_gave(rig: Rig) -> None:
    (payload,) = frames(rig.host().feed(rig.fetch(12, {"orders": {0: 0}}, session_epoch=3)))
    response = fetched(12, payload)[1]
    assert (response.error_code, response.responses) == (E.FETCH_SESSION_ID_NOT_FOUND, [])


def test_the_long_poll_ends_with_an_append(rig: Rig) -> None:
    host = rig.host()
    assert host.feed(rig.fetch(12, {"orders": {0: 0, 1: 0}}, max_wait_ms=500)) == b""
    assert host.parked
    assert host.deadline_ns == host.now_ns + 500_000_000
    assert rig.protocol.counters()["fetches_waiting"] == 1
    put(rig, 2, SMALL)
    assert host.mail() == b""                                                       # not its partition
    put(rig, 1, SMALL)
    (payload,) = frames(host.mail())
    assert records_of(fetched(12, payload)[1]) == {0: (0, b""), 1: (0, at_offset(SMALL, 0))}
    assert host.touched == 1
    assert not host.parked
    assert host.deadline_ns == 0
    assert rig.protocol.counters()["fetches_waiting"] == 0
    put(rig, 1, SMALL)
    assert host.mail() == b""


def test_the_long_poll_waits_for_min_bytes(rig: Rig) -> None:
    put(rig, 0, SMALL)
    host = rig.host()
    assert host.feed(rig.fetch(12, {"orders": {0: 0, 1: 0}}, max_wait_ms=500, min_bytes=3 * len(SMALL))) == b""
    put(rig, 1, SMALL)
    assert host.mail() == b""
    put(rig, 0, SMALL)
    (payload,) = frames(host.mail())
    assert records_of(fetched(12, payload)[1]) == {
        0: (0, at_offset(SMALL, 0) + at_offset(SMALL, 1)), 1: (0, at_offset(SMALL, 0))}


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_the_long_poll_ends_at_its_deadline(rig: Rig, version: int) -> None:
    put(rig, 0, SMALL)
    host = rig.host()
    request = rig.fetch(version, {"orders": {0: 0, 1: 0}}, max_wait_ms=500, min_bytes=1 << 20)
    assert host.feed(request + request) == b""
    for _ in range(2):
        (payload,) = frames(host.fire())
        assert records_of(fetched(version, payload)[1]) == {0: (0, at_offset(SMALL, 0)), 1: (0, b"")}


def test_a_connection_that_closes_while_it_waits(rig: Rig) -> None:
    host = rig.host()
    host.feed(rig.fetch(12, {"orders": {0: 0}}, max_wait_ms=500))
    put(rig, 0, SMALL)                              # its mail is under way
    host.close(31)
    put(rig, 0, SMALL)
    assert rig.protocol.counters()["fetches_waiting"] == 0
    host.mail()


def test_requests_behind_a_long_poll_keep_their_order(rig: Rig) -> None:
    host = rig.host()
    assert host.feed(rig.fetch(12, {"orders": {0: 0}}, max_wait_ms=500, correlation=1) +
                     rig.produce(9, {"orders": {1: SMALL}}, correlation=2)) == b""
    first, second = frames(host.fire())
    assert fetched(12, first)[0] == 1
    assert produced(9, second)[0] == 2


def test_a_client_that_does_not_read_is_served_no_further(rig: Rig) -> None:
    """Above the high-water mark nothing more is parsed; what was left comes once the output has drained."""
    put(rig, 0, batch(b"x" * 700_000))
    host = rig.host()
    first = host.feed(b"".join(rig.fetch(12, {"orders": {0: 0}}, correlation=i) for i in range(5)))
    assert [fetched(12, payload)[0] for payload in frames(first)] == [0, 1]
    assert host.unparsed > 0
    assert [fetched(12, payload)[0] for payload in frames(host.pump())] == [2, 3]
    assert [fetched(12, payload)[0] for payload in frames(host.pump())] == [4]


@pytest.mark.parametrize("version", [12, 13])
def test_a_topic_that_is_deleted_while_a_fetch_waits(rig: Rig, version: int) -> None:
    rig.topic("doomed")
    host = rig.host()
    assert host.feed(rig.fetch(version, {"orders": {0: 0}, "doomed": {0: 0}}, max_wait_ms=500)) == b""
    rig.topics.delete("doomed")
    (payload,) = frames(host.mail())
    kept, gone = fetched(version, payload)[1].responses
    assert kept.partitions[0].error_code == 0
    assert gone.partitions[0].error_code == (E.UNKNOWN_TOPIC_ID if version >= 13 else E.UNKNOWN_TOPIC_OR_PARTITION)
    assert rig.protocol.counters()["fetches_waiting"] == 0


def test_no_append_of_another_thread_is_missed(rig: Rig) -> None:
    """A producer on another thread appends just when a consumer at the tail looks, links and parks: it is woken."""
    total, seen = 1000, 0
    writer = rig.host(2 << 56)
    request = rig.produce(9, {"orders": {0: SMALL}})
    host = rig.host()
    go = Semaphore(0)

    def produce() -> None:
        for _ in range(total // 5):
            go.acquire()
            writer.rounds(request, 5)

    thread = Thread(target=produce, daemon=True)     # a failure must not keep the run from ending
    thread.start()
    while seen < total:
        go.release()
        answer = host.feed(rig.fetch(12, {"orders": {0: seen}}, max_wait_ms=60_000, partition_max_bytes=2000))
        give_up = monotonic() + 10
        while not answer:
            answer = host.mail()
            assert monotonic() < give_up, f"nobody woke the fetch at offset {seen}"
        (payload,) = frames(answer)
        ((error, records),) = records_of(fetched(12, payload)[1]).values()
        assert error == 0
        while records:
            assert records.startswith(at_offset(SMALL, seen))
            records = records[len(SMALL):]
            seen += 1
    thread.join()
    assert rig.protocol.counters()["fetches_parked"] > 10


def test_records_that_left_the_log(rig: Rig) -> None:
    """A memory log forgets its oldest batches: an offset before its start is out of range, and the start is told."""
    big = batch(b"x" * 900_000)
    put(rig, 0, *[big] * 200)
    assert get(rig, {0: 0})[0] == (E.OFFSET_OUT_OF_RANGE, b"")
    (payload,) = frames(rig.host().feed(rig.fetch(12, {"orders": {0: 199}})))
    (partition,) = fetched(12, payload)[1].responses[0].partitions
    assert partition.records == at_offset(big, 199)
    assert partition.high_watermark == 200
    assert 0 < partition.log_start_offset <= 199
