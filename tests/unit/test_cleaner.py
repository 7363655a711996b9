"""Compaction against a dict: the latest value of each key stays at its offset, whatever else goes."""
from __future__ import annotations

import struct
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from robustmq._fastpath.broker.cleaner import clean
from robustmq._fastpath.crc import crc32c_bytes
from robustmq._fastpath.stores.log import Log

from tests.batches import split
from tests.keyed import NOW, Record, everything, keyed
from tests.logs import ID, open_log


def compacted(path: Path) -> Log:
    log = open_log(path)
    if not log.streams():
        log.create_stream("t", ID, 0, 1)
    log.set_policy(1, cleanup="compact", delete_retention_ms=1000, min_cleanable_dirty_ratio=0.0)
    return log


def test_superseded_records_go_and_offsets_stay(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1"), (b"b", b"1"), (b"a", b"2")]))
    part.append(keyed([(b"b", b"2"), (b"c", b"1")], zstd=True))
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


def test_the_last_batch_of_a_producer_stays(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"a", b"1")], producer=7, sequence=0))
    part.append(keyed([(b"a", b"2")], producer=7, sequence=1))
    part.append(keyed([(b"a", b"3")]))
    log.seal()
    assert clean(log, 1, NOW)
    bases = [(base, struct.unpack(">i", batch[57:61])[0]) for base, _, batch in split(part.read(0, 1 << 20))]
    assert bases == [(1, 0), (2, 1)] and everything(log) == {2: (b"a", b"3")}
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


def test_a_batch_is_rewritten_a_bounded_number_of_times(tmp_path: Path) -> None:
    log = compacted(tmp_path)
    part = log.partition(1)
    part.append(keyed([(b"%d" % k, b"old") for k in range(12)]))
    log.seal()
    for k in range(12):
        part.append(keyed([(b"%d" % k, b"new")]))
        log.seal()
        assert clean(log, 1, NOW)
        left = [key for key, value in everything(log).values() if value == b"old"]
        assert left == [b"%d" % each for each in range(min(k + 1, 7), 12)]
    log.close()


STEPS = st.lists(st.one_of(
    st.tuples(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", None]), st.sampled_from([b"1", b"2", None])),
                       min_size=1, max_size=4), st.booleans()),
    st.sampled_from(["seal", "clean", "reopen"])), max_size=25)


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
            elif step == "reopen":
                log.close()
                log = compacted(Path(directory) / "d")
            elif isinstance(step, tuple):
                log.partition(1).append(keyed(step[0], zstd=step[1]))
                written += step[0]
            seen = everything(log)
            latest = {key: offset for offset, (key, _) in enumerate(written)}
            for offset, record in enumerate(written):
                if record[0] is None or latest[record[0]] == offset or offset in seen:
                    assert seen[offset] == record
        log.close()
