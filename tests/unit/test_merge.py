"""Merging: small runs and files become larger ones, and nobody who reads sees a difference."""
from __future__ import annotations

import math
from pathlib import Path

import pytest
from robustmq._fastpath.stores.log import Log
from robustmq._fastpath.stores.merge import Merge

from tests.batches import batch, values
from tests.logs import ID, MIB, open_log

FAST = 1 << 40          # bytes per second


def merge(log: Log) -> int:
    """One round; how many stretches it found."""
    one = Merge(log, FAST)
    found = one.plan()
    while found and one.step():
        pass
    return found


def create(log: Log, count: int) -> list[int]:
    return [log.create_stream(f"t{i}", ID, i, 1).stream for i in range(count)]


def sealed_rounds(log: Log, streams: list[int], rounds: int, size: int = 100, timestamp: int = 1_000_000) -> None:
    """A run in each stream for each round."""
    for i in range(rounds):
        for stream in streams:
            log.partition(stream).append(batch([b"%d." % (i + n) + b"x" * size for n in range(2)],
                                               timestamp=timestamp + i))
        log.seal()


def contents(log: Log, streams: list[int]) -> list[list[tuple[int, bytes]]]:
    return [values(log.partition(stream).read(log.partition(stream).start, 1 << 30)) for stream in streams]


def runs(log: Log, stream: int) -> list[tuple[int, int]]:
    """(base, end) in order."""
    return sorted((base, end) for _, rows in log.sealed().values() for which, base, end, *_ in rows if which == stream)


def files(path: Path) -> list[Path]:
    return sorted((path / "sealed").glob("*.sealed"))


def test_small_runs_become_one(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    streams = create(log, 5)
    sealed_rounds(log, streams, 10)
    before = contents(log, streams)
    assert len(runs(log, 3)) == 10 and len(log.sealed()) == 10
    assert merge(log) == 5
    assert [runs(log, stream) for stream in streams] == [[(0, 20)]] * 5 and len(log.sealed()) == 1
    assert contents(log, streams) == before
    for offset in range(20):
        assert values(bytes(log.partition(3).read(offset, 1)))[0][0] == offset & ~1
    assert int.from_bytes(log.partition(3).seek_time(1_000_007)[:8], "big") == 14
    assert merge(log) == 0
    log.close()
    assert len(files(tmp_path)) == 1
    log = open_log(tmp_path)
    assert log.recovered["sealed_runs"] == 5 and log.recovered["notes"] == []
    assert contents(log, streams) == before
    assert log.partition(2).append(batch([b"more"]))[0] == 20
    log.close()


def test_runs_and_files_are_few_and_written_a_few_times(tmp_path: Path) -> None:
    log, rounds = open_log(tmp_path), 300
    streams = create(log, 4)
    once = 0
    for _ in range(rounds):
        sealed_rounds(log, streams, 1)
        merge(log)
        assert all(len(runs(log, stream)) <= 8 + 3 * math.log(rounds, 4) for stream in streams)
        assert len(log.sealed()) <= 8 + 3 * math.log(rounds, 4) + 1
    once = sum(size for _, rows in log.sealed().values() for _, _, _, size, *_ in rows)
    assert log.stats()["sealed"]["merged_bytes"] <= once * (math.log(rounds / 8, 4) + 2)
    assert all(len(found) == 2 * rounds for found in contents(log, streams))
    log.close()


def test_a_file_that_is_kept_for_little_is_given_up(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    streams = create(log, 10)
    sealed_rounds(log, streams, 1, size=20_000)
    before = contents(log, streams[:2])
    assert merge(log) == 0
    for stream in streams[2:]:
        log.delete_stream(stream)
    assert merge(log) == 2
    assert contents(log, streams[:2]) == before
    log.seal()
    log.close()
    assert [path.stat().st_size < 100_000 for path in files(tmp_path)] == [True]


def test_large_runs_are_left_alone(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    sealed_rounds(log, create(log, 1), 10, size=MIB // 16)
    assert merge(log) == 0 and len(runs(log, 1)) == 10
    log.close()


@pytest.mark.parametrize(("policy", "count"), [
    ({"segment_ms": 3}, 10), ({"segment_ms": 9}, 1), ({"segment_bytes": 1000}, 10), ({"remote": True}, 10),
    ({"retention_ms": 24}, 10), ({"retention_ms": 72}, 1), ({"retention_bytes": 8000}, 10),
    ({"retention_ms": 24, "cleanup": "compact"}, 1)])
def test_what_stays_apart(tmp_path: Path, policy: dict[str, int], count: int) -> None:
    log = open_log(tmp_path)
    create(log, 1)
    log.set_policy(1, **policy)
    sealed_rounds(log, [1], 10)
    before = contents(log, [1])
    merge(log)
    assert len(runs(log, 1)) == count and contents(log, [1]) == before
    log.close()


def test_a_damaged_run_stays_as_it_is(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    streams = create(log, 3)
    sealed_rounds(log, streams, 8)
    before = contents(log, streams)
    log.close()
    data = bytearray(files(tmp_path)[4].read_bytes())
    at = data.index(b"4.xxx")                           # in the run of the first stream
    data[at + 10] ^= 1
    files(tmp_path)[4].write_bytes(data)
    log = open_log(tmp_path)
    merge(log)
    assert [len(runs(log, stream)) for stream in streams] == [8, 1, 1]
    assert contents(log, streams[1:]) == before[1:]
    assert values(bytes(log.partition(1).read(10, 1 << 20))) == before[0][10:]
    log.close()


def test_what_changes_between_plan_and_step(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    streams = create(log, 4)
    sealed_rounds(log, streams, 10)
    before = contents(log, streams)
    one = Merge(log, FAST)
    assert one.plan() == 4
    log.trim(1, 7)
    log.delete_stream(2)
    log.set_policy(3, remote=True)
    log.partition(4).append(batch([b"new"]))
    log.seal()
    assert not one.step()
    assert values(bytes(log.partition(1).read(7, 1 << 20))) == before[0][6:]
    assert len(runs(log, 3)) == 10 and runs(log, 4) == [(0, 20), (20, 21)]
    assert contents(log, [4])[0][:20] == before[3]
    log.close()
    log = open_log(tmp_path)
    assert log.partition(1).start == 7 and contents(log, [3]) == [before[2]] and log.recovered["notes"] == []
    log.close()


def test_it_stops_when_it_is_told(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    streams = create(log, 3)
    sealed_rounds(log, streams, 8, size=100_000 // 8)
    one = Merge(log, 1)                                 # a byte per second
    one.stop()
    assert one.plan() == 3 and not one.step()
    assert len(log.sealed()) == 8
    log.close()
    assert not list((tmp_path / "sealed").glob("*.writing"))
