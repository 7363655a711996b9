"""Compaction against a dict: the latest value of each key stays at its offset, whatever else goes."""
from __future__ import annotations

import random
import struct
import sys
import threading
import time
import tracemalloc
from itertools import chain, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robustmq._fastpath.broker.cleaner import Limit, clean
from robustmq._fastpath.crc import crc32c_bytes
from robustmq._fastpath.stores.log import Log

from robustmq.cli.storage.found import Batch
from robustmq.cli.storage.sealed import walk
from tests.batches import split
from tests.keyed import GZIP, LZ4, NOW, SNAPPY, ZSTD, Record, everything, keyed
from tests.logs import ID, MIB, open_log

DAY_MS = 86_400_000


def compacted(path: Path, **bounds: int) -> Log:
    log = open_log(path, **bounds)
    if not log.streams():
        log.create_stream("t", ID, 0, 1)
    log.set_policy(1, cleanup="compact", delete_retention_ms=1000, min_cleanable_dirty_ratio=0.0)
    return log


def clean_and_impatient(path: Path) -> Log:
    """All that is there was compacted; what comes is when it is dirty for 5 s."""
    log = compacted(path)
    log.set_policy(1, cleanup="compact", min_cleanable_dirty_ratio=1.0, max_compaction_lag_ms=5000)
    log.partition(1).append(keyed([(b"z", b"1")]))
    log.seal()
    assert clean(log, 1, NOW + 5000)
    return log


def test_superseded_records_go_and_offsets_stay(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1"), (b"b", b"1"), (b"a", b"2")]))
    part.append(keyed([(b"b", b"2"), (b"c", b"1")], codec=ZSTD))
    part.append(keyed([(b"c", b"2")]))
    log.seal()
    expected = {2: (b"a", b"2"), 3: (b"b", b"2"), 5: (b"c", b"2")}
    assert clean(log, 1, NOW)
    assert everything(log) == expected and (part.start, part.end) == (0, 6)
    assert not clean(log, 1, NOW), "nothing is dirty"
    log.close()
    log = compacted(tmp_path)
    assert everything(log) == expected and not log.recovered["notes"]
    log.partition(1).append(keyed([(b"a", b"3")]))
    log.seal()
    assert clean(log, 1, NOW)
    assert everything(log) == {3: (b"b", b"2"), 5: (b"c", b"2"), 6: (b"a", b"3")}
    log.close()


def test_tombstones_go_in_their_time(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1"), (b"a", None)]))
    log.seal()
    assert clean(log, 1, NOW) and everything(log) == {1: (b"a", None)}
    part.append(keyed([(b"b", b"1")]))
    log.seal()
    assert clean(log, 1, NOW + 999) and everything(log) == {1: (b"a", None), 2: (b"b", b"1")}
    part.append(keyed([(b"c", b"1")]))
    log.seal()
    assert clean(log, 1, NOW + 1000) and everything(log) == {2: (b"b", b"1"), 3: (b"c", b"1")}
    log.close()


def headers(log: Log) -> list[tuple[int, int, int]]:
    """(base offset, records, producer) of each batch."""
    part = log.partition(1)
    return [(base, *struct.unpack(">i", batch[57:61]), *struct.unpack(">q", batch[43:51]))
            for base, _, batch in split(part.read(part.start, 1 << 20))]


def test_the_last_batch_of_a_producer_stays(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1")], producer=7, sequence=0))
    part.append(keyed([(b"a", b"2")], producer=7, sequence=1))
    part.append(keyed([(b"a", b"3")]))
    log.seal()
    assert clean(log, 1, NOW)
    assert headers(log) == [(1, 0, 7), (2, 1, -1)] and everything(log) == {2: (b"a", b"3")}
    log.close()


def test_an_emptied_batch_stays_until_its_producer_appends_again(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    for step in range(3):
        log.partition(1).append(keyed([(b"a", b"1")], producer=7, sequence=step, codec=LZ4))
        log.partition(1).append(keyed([(b"a", b"2")]))
        log.seal()
        assert clean(log, 1, NOW)
        assert headers(log) == [(2 * step, 0, 7), (2 * step + 1, 1, -1)]
        log.close()
        log = compacted(tmp_path)
    log.partition(1).append(keyed([(b"b", b"1")], producer=7, sequence=3))     # it is in the journal yet
    log.partition(1).append(keyed([(b"b", b"2")]))
    log.seal()
    log.partition(1).append(keyed([(b"c", b"1")], producer=7, sequence=4))
    assert clean(log, 1, NOW)
    assert headers(log) == [(5, 1, -1), (7, 1, -1), (8, 1, 7)]
    log.close()


def test_an_emptied_batch_goes_when_its_producer_is_forgotten(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1")], producer=7, sequence=0))
    part.append(keyed([(b"a", b"2")]))
    log.seal()
    assert clean(log, 1, NOW) and headers(log) == [(0, 0, 7), (1, 1, -1)]
    for other in range(1024):                   # as many as a partition remembers
        part.append(keyed([(b"b", b"1")], producer=1000 + other, sequence=0))
    log.seal()
    assert clean(log, 1, NOW)
    assert [(base, producer) for base, _, producer in headers(log)] == [
        (1, -1), *((2 + other, 1000 + other) for other in range(1024))]
    log.close()


def test_an_emptied_batch_goes_when_its_producer_was_silent_for_too_long(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    for producer, seen_ms in ((7, NOW), (8, NOW + 5000)):
        part.append(keyed([(b"a", b"1")], producer=producer, sequence=0), now_ms=seen_ms)
    part.append(keyed([(b"a", b"2")]))
    log.seal()
    assert clean(log, 1, NOW + DAY_MS - 1000) and headers(log) == [(0, 0, 7), (1, 0, 8), (2, 1, -1)]
    part.append(keyed([(b"b", b"1")]))
    log.seal()
    assert clean(log, 1, NOW + DAY_MS + 1000) and headers(log) == [(1, 0, 8), (2, 1, -1), (3, 1, -1)]
    log.close()


def test_the_lag_and_the_ratio(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1"), (b"a", b"2")]))
    log.seal()
    log.set_policy(1, cleanup="compact", min_compaction_lag_ms=1000)
    assert not clean(log, 1, NOW + 999)
    assert clean(log, 1, NOW + 1000)
    part.append(keyed([(b"z", b"1")]))
    log.seal()
    log.set_policy(1, cleanup="compact", min_cleanable_dirty_ratio=0.9)
    assert not clean(log, 1, NOW)
    log.set_policy(1, cleanup="compact", min_cleanable_dirty_ratio=0.9, max_compaction_lag_ms=5000)
    assert clean(log, 1, NOW + 5000)
    log.set_policy(1, cleanup="delete")
    assert not clean(log, 1, NOW)
    log.close()


def test_the_longest_lag_is_that_of_the_oldest_record(tmp_path: Path) -> None:
    log = clean_and_impatient(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1")], timestamp=NOW + 10_000))
    part.append(keyed([(b"a", b"2")], timestamp=NOW + 14_000))
    log.seal()
    assert not clean(log, 1, NOW + 14_999)
    assert clean(log, 1, NOW + 15_000)
    assert everything(log) == {0: (b"z", b"1"), 2: (b"a", b"2")}
    log.close()


def test_times_that_run_backwards_within_a_run(tmp_path: Path) -> None:
    """The oldest record of a run counts, wherever it stands."""
    log = clean_and_impatient(tmp_path)
    part = log.partition(1)
    for later in (20_000, 10_000, 12_000):
        part.append(keyed([(b"a", b"%d" % later)], timestamp=NOW + later))
    log.seal()
    for _ in range(2):                          # asked again, the answer is the same
        assert not clean(log, 1, NOW + 14_999)
    assert clean(log, 1, NOW + 15_000)
    assert everything(log) == {0: (b"z", b"1"), 3: (b"a", b"12000")}
    log.close()


def test_times_before_1970_are_none(tmp_path: Path) -> None:
    log = clean_and_impatient(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1")], timestamp=-1))
    log.seal()
    assert not clean(log, 1, NOW + 1_000_000)
    log.close()


def test_compaction_is_no_faster_than_its_limit(tmp_path: Path) -> None:
    """Keys are read, then batches, and what stays is written."""
    log = compacted(tmp_path)
    for i in range(20):
        log.partition(1).append(keyed([(b"%d" % i, b"x" * 2000)]))
    log.seal()
    begun = time.monotonic()
    assert clean(log, 1, NOW, limit=Limit(400_000))
    assert time.monotonic() - begun >= 0.2      # 120 kB, less what is not waited for any more at the end
    assert len(everything(log)) == 20
    log.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which pages of a mapping were touched")
@pytest.mark.parametrize("max_lag_ms", [1000, None], ids=["the first look", "the keys"])
def test_a_run_is_read_no_further_than_it_is_paid_for(tmp_path: Path, max_lag_ms: int | None) -> None:
    log = compacted(tmp_path, segment_bytes=16 * MIB, journal_bytes=64 * MIB)
    for i in range(80):
        log.partition(1).append(keyed([(b"%d" % i, b"x" * 100_000)]))
    log.seal()
    log.close()
    log = compacted(tmp_path)
    log.set_policy(1, cleanup="compact", min_cleanable_dirty_ratio=0.0,
                   **({} if max_lag_ms is None else {"max_compaction_lag_ms": max_lag_ms}))
    before, steps = touched(tmp_path), iter(range(5))
    assert not clean(log, 1, NOW + DAY_MS, stopping=lambda: next(steps, None) is None, limit=Limit(MIB * MIB))
    assert touched(tmp_path) - before <= 2 * MIB
    assert clean(log, 1, NOW + DAY_MS) and len(everything(log)) == 80
    log.close()


def touched(path: Path) -> int:
    """Bytes of the sealed files that this process has read through its mappings."""
    found, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            ours = str(path) in line and line.endswith(".sealed")
        elif ours and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def test_a_wait_for_the_limit_holds_nobody_up_and_ends_when_it_is_told(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    for _ in range(5):
        log.partition(1).append(keyed([(b"a", b"1")]))
    log.seal()
    files = set((tmp_path / "sealed").iterdir())
    limit, stop, answers = Limit(1), threading.Event(), []      # a byte per second
    cleaner = threading.Thread(target=lambda: answers.append(clean(log, 1, NOW, stopping=stop.is_set, limit=limit)))
    cleaner.start()
    assert len(everything(log)) == 5
    log.trim(1, 1)
    log.partition(1).append(keyed([(b"b", b"1")]))
    log.seal()
    assert len(everything(log)) == 5
    stop.set()
    limit.stop()
    cleaner.join(30)
    assert answers == [False]
    assert files <= set((tmp_path / "sealed").iterdir()) and not list((tmp_path / "sealed").glob("*.writing"))
    log.close()


def test_a_map_that_is_too_small_takes_several_passes(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    log.set_policy(1, cleanup="compact", min_cleanable_dirty_ratio=0.0)
    part = log.partition(1)
    for i in range(4):
        part.append(keyed([(b"%d" % k, b"%d" % i) for k in range(10)]))
        log.seal()
    passes = 0
    while clean(log, 1, NOW, 5):
        passes += 1
    assert passes == 4 and everything(log) == {30 + k: (b"%d" % k, b"3") for k in range(10)}
    log.close()


def test_a_run_with_more_keys_than_the_map_may_hold(tmp_path: Path) -> None:
    """One run, one batch of it alone, even: every record that is superseded goes, and tombstones meanwhile stay."""
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"%d" % k, b"old") for k in range(100)], codec=GZIP))
    log.seal()
    assert clean(log, 1, NOW, 7)
    part.append(keyed([(b"%d" % k, b"new" if k % 2 else None) for k in range(100)], codec=ZSTD))
    log.seal()
    assert clean(log, 1, NOW + 2000, 7)
    assert everything(log) == {100 + k: (b"%d" % k, b"new" if k % 2 else None) for k in range(100)}
    assert not clean(log, 1, NOW + 2000, 7)
    assert len(log.sealed()) == 1
    log.close()


def test_the_map_holds_no_more_than_it_may(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    for turn in range(10):
        log.partition(1).append(keyed([(b"%d" % (1000 * turn + k), b"") for k in range(1000)]))
    log.seal()
    tracemalloc.start()
    assert clean(log, 1, NOW, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000 and len(everything(log)) == 10_000    # 10,000 keys would take more than 1 MB
    log.close()


def test_compaction_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    for _ in range(5):
        log.partition(1).append(keyed([(b"a", b"1")]))
    log.seal()
    files = set((tmp_path / "sealed").iterdir())
    for batches in (0, 3, 7):                   # while keys are mapped, while a file is written
        answers = chain(repeat(False, batches), repeat(True))
        assert not clean(log, 1, NOW, stopping=answers.__next__)
        assert len(everything(log)) == 5 and set((tmp_path / "sealed").iterdir()) == files
    assert clean(log, 1, NOW) and len(everything(log)) == 1
    log.close()


@pytest.mark.parametrize("codec", [0, GZIP, SNAPPY, LZ4, ZSTD])
def test_a_batch_keeps_its_codec_and_its_times(tmp_path: Path, codec: int) -> None:
    """Also a large one that does not compress, and the times of the records that stay."""
    log = compacted(tmp_path)
    part = log.partition(1)
    noise = random.Random(1).randbytes(150_000)
    part.append(keyed([(b"a", b"1"), (b"b", b"2" * 70_000), (b"c", noise), (b"d", b"4")], codec=codec, apart_ms=1000))
    part.append(keyed([(b"a", b"2"), (b"d", b"5")], timestamp=NOW + 500))
    log.seal()
    assert clean(log, 1, NOW + 9000)
    assert everything(log) == {1: (b"b", b"2" * 70_000), 2: (b"c", noise), 4: (b"a", b"2"), 5: (b"d", b"5")}
    batch = next(split(part.read(0, 1)))[2]
    assert batch[22] & 7 == codec and len(batch) < (240_000 if codec == 0 else 170_000)
    assert struct.unpack(">qq", batch[27:43]) == (NOW, NOW + 2000)
    found = part.seek_time(NOW + 1)
    assert found is not None and found == batch
    assert part.seek_time(NOW + 2001) is None
    log.close()


def test_an_emptied_batch_is_not_found_by_time(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1")], producer=7, sequence=0, timestamp=NOW + 1000))
    part.append(keyed([(b"a", b"2")]))
    log.seal()
    assert clean(log, 1, NOW + 2000)
    found = part.seek_time(NOW)
    assert found is not None and found[:8] == struct.pack(">q", 1)
    log.close()


def test_a_batch_that_cannot_be_looked_into_stays(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    body = b"no zstd at all"
    covered = struct.pack(">hiqqqhii", 4, 1, NOW, NOW, -1, -1, -1, 2) + body
    part.append(struct.pack(">qiibI", 0, len(covered) + 9, 0, 2, crc32c_bytes(covered)) + covered)
    part.append(keyed([(b"a", b"1"), (b"a", b"2")]))
    log.seal()
    assert clean(log, 1, NOW)
    batches = [(base, batch) for base, _, batch in split(part.read(0, 1 << 20))]
    assert [base for base, _ in batches] == [0, 2] and batches[0][1].endswith(body)
    log.close()


@pytest.mark.parametrize("codec", [0, SNAPPY])
def test_a_batch_is_rewritten_as_often_as_it_loses_records(tmp_path: Path, codec: int) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"%d" % k, b"old") for k in range(20)], codec=codec))
    part.append(keyed([(b"last", b"old")]))
    log.seal()
    for k in range(20):
        part.append(keyed([(b"%d" % k, b"new")]))
        log.seal()
        assert clean(log, 1, NOW)
        left = [key for key, value in everything(log).values() if value == b"old"]
        assert left == [b"%d" % each for each in range(k + 1, 20)] + [b"last"]
    log.close()
    file, = (tmp_path / "sealed").glob("*.sealed")
    positions = [found.position for found in walk(file) if isinstance(found, Batch)]
    assert positions == sorted(set(positions)) and len(positions) == 21


STEPS = st.lists(st.one_of(
    st.tuples(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", None]), st.sampled_from([b"1", b"2", None])),
                       min_size=1, max_size=4), st.integers(0, 4)),
    st.sampled_from(["seal", "clean", "clean with little memory", "reopen"])), max_size=25)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_a_reader_sees_the_latest_of_each_key(steps: list[object]) -> None:
    with TemporaryDirectory() as directory:
        log = compacted(Path(directory) / "d")
        written: list[Record] = []
        for step in steps:
            if step == "seal":
                log.seal()
            elif step == "clean":
                clean(log, 1, NOW)
            elif step == "clean with little memory":
                clean(log, 1, NOW, 1)
            elif step == "reopen":
                log.close()
                log = compacted(Path(directory) / "d")
            elif isinstance(step, tuple):
                log.partition(1).append(keyed(step[0], codec=step[1]))
                written += step[0]
            seen = everything(log)
            latest = {key: offset for offset, (key, _) in enumerate(written)}
            for offset, record in enumerate(written):
                if record[0] is None or latest[record[0]] == offset or offset in seen:
                    assert seen[offset] == record
        log.close()
