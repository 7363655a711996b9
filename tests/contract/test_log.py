"""What every store promises: one suite, over memory and over a write-ahead log in a directory."""
from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from robustmq._fastpath.stores.log import Log
from robustmq._fastpath.stores.partition_ref import PartitionRef, SequenceError

from tests.batches import batch, split, values
from tests.logs import ID, MIB, open_log, settled
from tests.shims.store import append_many, read_all


@pytest.fixture(params=["memory", "wal"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def log(kind: str, tmp_path: Path) -> Iterator[Log]:
    log = open_log(tmp_path / "data" if kind == "wal" else None)
    yield log
    log.close()


@pytest.fixture
def partition(log: Log) -> PartitionRef:
    return log.create_stream("a.b", ID)


def test_offsets_are_dense_and_batches_come_back_as_they_went(partition: PartitionRef) -> None:
    first, second = batch([b"one", b"two"]), batch([b"three"])
    assert [partition.append(first)[0], partition.append(second)[0]] == [0, 2]
    assert (partition.start, partition.end) == (0, 3)
    assert values(partition.read(0)) == [(0, b"one"), (1, b"two"), (2, b"three")]
    assert partition.read(0)[8:12] == first[8:12] and partition.read(0)[16:len(first)] == first[16:]


def test_a_read_begins_with_the_batch_that_contains_the_offset(partition: PartitionRef) -> None:
    for size in (3, 1, 4):
        partition.append(batch([b"x"] * size))
    assert [base for base, _, _ in split(partition.read(1))] == [0, 3, 4]
    assert [base for base, _, _ in split(partition.read(7))] == [4]
    assert partition.read(8) == b""
    with pytest.raises(IndexError):
        partition.read(9)


def test_a_read_is_bounded_but_never_empty(partition: PartitionRef) -> None:
    """KIP-74: progress even when the first batch is larger than the bound."""
    one = batch([b"x" * 100])
    for _ in range(5):
        partition.append(one)
    assert len(list(split(partition.read(0, 1)))) == 1
    assert len(list(split(partition.read(0, 3 * len(one))))) == 3


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 42, 43, 600, 3000])
def test_every_offset_is_found(partition: PartitionRef, count: int) -> None:
    """Across the growth of the index."""
    for i in range(count):
        partition.append(batch([b"%d" % i]))
    for i in {0, 1, count // 2, count - 1} & set(range(count)):
        assert values(partition.read(i, 1)) == [(i, b"%d" % i)]
    assert len(values(partition.read(0, 1 << 30))) == count


def test_the_first_batch_at_or_after_a_time(partition: PartitionRef) -> None:
    for timestamp in (1000, 3000, 2000, 5000):
        partition.append(batch([b"x"], timestamp=timestamp))
    found = [next(split(partition.seek_time(t)))[0] for t in (0, 1000, 1001, 3000, 3001, 5000)]
    assert found == [0, 0, 1, 1, 3, 3]
    assert partition.seek_time(5001) is None
    assert partition.max_timestamp == 5000


def test_streams_do_not_see_each_other(log: Log) -> None:
    parts = [log.create_stream("t", ID, number) for number in range(5)]
    for i in range(100):
        parts[i % 5].append(batch([b"%d" % i]))
    for number, part in enumerate(parts):
        assert [int(value) for _, value in values(part.read(0))] == list(range(number, 100, 5))
    assert [(row[0], row[2], row[6]) for row in log.streams()] == [("t", number, 20) for number in range(5)]


def test_a_deleted_stream_is_gone(log: Log, partition: PartitionRef) -> None:
    partition.append(batch([b"x"]))
    log.delete_stream(partition.stream)
    with pytest.raises(LookupError):
        partition.append(batch([b"x"]))
    assert log.streams() == []
    again = log.create_stream("a.b", ID)
    assert again.stream != partition.stream and again.end == 0


def test_what_is_no_batch_is_refused(partition: PartitionRef) -> None:
    good = batch([b"x"])
    for bad in (b"", good[:60], good[:-1], good[:-1] + b"?", good + b"x"):
        with pytest.raises(ValueError, match="no valid record batch"):
            partition.append(bad)
    assert partition.end == 0


def test_a_batch_larger_than_a_quarter_of_a_segment_is_refused(partition: PartitionRef) -> None:
    partition.append(batch([b"x" * (MIB // 4 - 200)]))
    with pytest.raises(ValueError, match="refused"):
        partition.append(batch([b"x" * (MIB // 4)]))
    assert partition.end == 1


def test_memory_gives_up_the_oldest_and_a_write_ahead_log_nothing(partition: PartitionRef, kind: str) -> None:
    payload = b"x" * 10_000
    for _ in range(2000):
        partition.append(batch([payload]))
    settled(partition.log)
    start, end = partition.start, partition.end
    assert end == 2000 and (start == 0 if kind == "wal" else 0 < start < end)
    if start:
        with pytest.raises(IndexError):
            partition.read(start - 1)
    assert [offset for offset, _ in values(partition.read(start, 1 << 30))] == list(range(start, end))


def test_a_quiet_stream_survives_the_retirement_of_its_segments(log: Log, partition: PartitionRef, kind: str) -> None:
    quiet = log.create_stream("quiet", ID, 3, 1)
    quiet.append(batch([b"x"] * 7))
    log.state_put(1, b"offset", b"42")
    for _ in range(2000):
        partition.append(batch([b"x" * 10_000]))
    settled(log)
    start = 0 if kind == "wal" else 7
    assert (quiet.start, quiet.end) == (start, 7)
    assert quiet.append(batch([b"y"]))[0] == 7
    assert ("quiet", ID, 3, quiet.stream, 1, start, 8) in log.streams()
    assert log.state_items(1) == [(b"offset", b"42")]


def test_state_keeps_the_latest_value_of_each_key(log: Log) -> None:
    for i in range(50):
        log.state_put(7, b"k%d" % (i % 10), b"v%d" % i)
    log.state_put(7, b"k3", None)
    log.state_put(7, b"never", None)
    log.state_put(8, b"k1", b"")
    assert sorted(log.state_items(7)) == [(b"k%d" % i, b"v%d" % (40 + i)) for i in range(10) if i != 3]
    assert log.state_items(8) == [(b"k1", b"")]
    assert log.state_items(9) == []


def test_duplicates_of_an_idempotent_producer_get_their_old_offset(partition: PartitionRef) -> None:
    for sequence in range(6):
        assert partition.append(batch([b"x"], producer=5, epoch=0, sequence=sequence))[0] == sequence
    assert partition.append(batch([b"x"], producer=5, epoch=0, sequence=1))[0] == 1
    with pytest.raises(SequenceError):
        partition.append(batch([b"x"], producer=5, epoch=0, sequence=0))
    assert partition.end == 6


def test_producers_survive_the_retirement_of_their_batches(log: Log, partition: PartitionRef, kind: str) -> None:
    other = log.create_stream("other", ID)
    other.append(batch([b"x"] * 4, producer=5, epoch=2, sequence=0))
    for _ in range(2000):
        partition.append(batch([b"x" * 10_000]))
    settled(log)
    assert other.start == (0 if kind == "wal" else 4)
    assert other.append(batch([b"x"] * 4, producer=5, epoch=2, sequence=0))[0] == 0
    assert other.append(batch([b"x"], producer=5, epoch=2, sequence=4))[0] == 4
    with pytest.raises(SequenceError):
        other.append(batch([b"x"], producer=5, epoch=1, sequence=5))


def test_waiting_for_durability(log: Log) -> None:
    async def scenario() -> None:
        part = log.create_stream("t", ID)
        for _ in range(5):
            _, position = part.append(batch([b"x"]))
            await asyncio.wait_for(log.wait_durable(position), 10)
            assert log.durable >= position
        many = [log.wait_durable(part.append(batch([b"x"]))[1]) for _ in range(50)]
        await asyncio.wait_for(asyncio.gather(*many), 10)
        assert await asyncio.wait_for(log.wait_durable(log.state_put(1, b"k", b"v")), 10) is None

    asyncio.run(scenario())


def test_threads_append_side_by_side(log: Log) -> None:
    shared = log.create_stream("shared", ID)
    own = [log.create_stream("own", ID, number) for number in range(4)]

    def run(number: int) -> None:
        for i in range(2000):
            shared.append(batch([b"%d:%d" % (number, i)]))
            own[number].append(batch([b"x" * (i % 100)] * 2))
            log.state_put(1, b"%d" % (i % 50), b"%d" % i)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.end == 8000 and [part.end for part in own] == [4000] * 4
    seen: dict[int, int] = {}
    found = values(shared.read(shared.start, 1 << 30))
    assert [offset for offset, _ in found] == list(range(shared.start, 8000))
    for _, value in found:
        number, i = map(int, value.split(b":"))
        assert i == seen.get(number, i - 1) + 1
        seen[number] = i
    assert len(log.state_items(1)) == 50


def test_readers_follow_appenders_without_locks_while_segments_are_retired(log: Log) -> None:
    """Two appenders of one stream and one of another, two readers: nobody holds the GIL."""
    shared, other = log.create_stream("shared", ID, 0, 1), log.create_stream("other", ID, 0, 1)
    small, large = batch([b"x" * 100] * 3), batch([b"y" * 20_000])
    seen = []
    jobs = [
        lambda: append_many(log, shared.stream, small, 15_000),
        lambda: append_many(log, shared.stream, small, 15_000),
        lambda: append_many(log, other.stream, large, 1000),
        lambda: seen.append(read_all(log, shared.stream, 90_000)),
        lambda: seen.append(read_all(log, other.stream, 1000)),
    ]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 2
    for (records, overtaken), expected in zip(sorted(seen), (1000, 90_000), strict=True):
        assert records == expected or overtaken


def test_a_closed_log_says_so(log: Log, partition: PartitionRef) -> None:
    log.close()
    log.close()
    with pytest.raises(LookupError, match="closed"):
        partition.append(batch([b"x"]))
