"""Sealed files: what leaves the journal stays readable, survives restarts, and goes by retention and trimming only."""
from __future__ import annotations

import random
import shutil
import struct
import threading
import time
from pathlib import Path

import pytest
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.stores.files import LogError
from tests.batches import batch, split
from tests.logs import ID, open_log
from tests.shims.store import StateHeld


def bases(log: Log, stream: int, offset: int) -> list[int]:
    part = log.partition(stream)
    found: list[int] = []
    while offset < part.end:
        batches = list(split(part.read(offset, 1 << 20)))
        found += [base for base, _, _ in batches]
        offset = batches[-1][1] + 1
    return found


def sealed_files(path: Path) -> list[Path]:
    return sorted((path / "sealed").glob("*.sealed"))


def filled(path: Path, streams: int = 3, rounds: int = 40, size: int = 300) -> Log:
    log = open_log(path)
    parts = [log.create_stream(f"t{i}", ID, i, 1) for i in range(streams)]
    for i in range(rounds):
        for part in parts:
            part.append(batch([b"%d" % i + b"." * size] * 2, timestamp=1_000_000 + i))
    return log


def test_sealed_batches_are_read_as_they_were(tmp_path: Path) -> None:
    log = filled(tmp_path)
    before = [log.partition(stream).read(0, 1 << 30) for stream in (1, 2, 3)]
    log.seal()
    assert log.partition(1).bytes == 0 and len(sealed_files(tmp_path)) == 1
    assert [log.partition(stream).read(0, 1 << 30) for stream in (1, 2, 3)] == before
    for offset in range(80):
        assert next(split(log.partition(2).read(offset)))[0] == offset & ~1
    log.close()


def test_sealing_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        log = open_log(tmp_path)
        log.seal()
        log.seal()
        log.close()
    assert sealed_files(tmp_path) == []


def test_reads_go_on_from_sealed_files_into_the_journal(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.seal()
    for _ in range(3):
        log.partition(1).append(batch([b"later"]))
        log.seal()
    log.partition(1).append(batch([b"last"]))
    assert bases(log, 1, 0) == [*range(0, 80, 2), 80, 81, 82, 83]
    log.close()


def test_a_restart_reads_directories_only_and_appends_go_on(tmp_path: Path) -> None:
    log = filled(tmp_path)
    log.seal()
    log.partition(2).append(batch([b"tail"]))
    streams = log.streams()
    log.close()
    log = open_log(tmp_path)
    assert log.recovered["sealed_files"] == 1 and log.recovered["sealed_runs"] == 3 and not log.recovered["notes"]
    assert log.streams() == streams
    assert bases(log, 2, 0) == [*range(0, 80, 2), 80]
    assert log.partition(2).append(batch([b"more"]))[0] == 81
    log.close()


def test_a_large_stream_gets_files_of_its_own(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=16 << 20, journal_bytes=64 << 20)
    small, large = log.create_stream("small", ID, 0, 1), log.create_stream("large", ID, 1, 1)
    for i in range(800):
        large.append(batch([b"x" * 10_000]))
        if i % 10 == 0:
            small.append(batch([b"y"]))
    log.seal()
    assert len(sealed_files(tmp_path)) == 2
    assert sorted(rows[0][0] for _, rows in log.sealed().values()) == [small.stream, large.stream]
    assert bases(log, small.stream, 0) == list(range(80)) and bases(log, large.stream, 0) == list(range(800))
    log.close()


def test_segment_bytes_cuts_runs(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=16 << 20, journal_bytes=64 << 20)
    part = log.create_stream("t", ID, 0, 1)
    log.set_policy(part.stream, segment_bytes=1 << 20)
    for _ in range(800):
        part.append(batch([b"x" * 10_000]))
    log.seal()
    assert len(sealed_files(tmp_path)) == 8
    assert bases(log, part.stream, 0) == list(range(800))
    log.close()


def test_an_offset_by_time(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1, rounds=500)
    log.seal()
    part = log.partition(1)
    for i in (0, 1, 250, 499):
        found = part.seek_time(1_000_000 + i)
        assert found is not None and next(split(found))[0] == 2 * i
    assert part.seek_time(1_000_500) is None
    part.append(batch([b"x"], timestamp=1_000_500))
    found = part.seek_time(1_000_500)
    assert found is not None and next(split(found))[0] == 1000
    log.close()


def test_a_deleted_stream_takes_its_files_along(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1)
    log.seal()
    log.delete_stream(1)
    log.seal()
    log.close()
    assert sealed_files(tmp_path) == []


def test_a_deleted_stream_stays_deleted_when_its_file_is_shared(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=2)
    log.seal()
    log.delete_stream(1)
    log.close()
    for _ in range(2):
        log = open_log(tmp_path)
        assert [row[3] for row in log.streams()] == [2] and bases(log, 2, 0) == list(range(0, 80, 2))
        log.seal()
        log.close()


def test_state_and_producers_outlive_the_journal(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1)
    part = log.partition(1)
    part.append(batch([b"x"], producer=9, epoch=0, sequence=0))
    log.state_put(1, b"key", b"value")
    for _ in range(3):
        log.seal()
    log.close()
    log = open_log(tmp_path)
    assert log.state_items(1) == [(b"key", b"value")]
    assert log.partition(1).append(batch([b"x"], producer=9, epoch=0, sequence=0))[0] == 80, "a duplicate"
    assert log.partition(1).append(batch([b"x"], producer=9, epoch=0, sequence=1))[0] == 81
    log.close()


def test_what_was_sealed_but_is_still_in_the_journal_counts_once(tmp_path: Path) -> None:
    """As after a SIGKILL between the sealed file and the end of its journal segment."""
    log = filled(tmp_path / "a", streams=2)
    log.sync()
    for name in ("journal", "state"):
        shutil.copytree(tmp_path / "a" / name, tmp_path / "b" / name)
    (tmp_path / "b" / "sealed").mkdir()
    log.seal()
    for file in (tmp_path / "a" / "sealed").iterdir():
        (tmp_path / "b" / "sealed" / file.name).write_bytes(file.read_bytes())
    log.close()
    log = open_log(tmp_path / "b")
    assert log.recovered["dropped"] == 0 and log.partition(1).bytes == 0
    assert bases(log, 1, 0) == list(range(0, 80, 2))
    assert log.partition(1).append(batch([b"x"]))[0] == 80
    log.seal()
    assert bases(log, 1, 0) == [*range(0, 80, 2), 80]
    log.close()


# --- retention and trimming ---

def test_trimmed_records_are_gone_also_after_a_restart(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=2)
    log.trim(1, 11)
    log.seal()
    log.trim(2, 33)
    for _ in range(2):
        assert [(row[5], row[6]) for row in log.streams()] == [(11, 80), (33, 80)]
        with pytest.raises(IndexError):
            log.partition(1).read(10)
        assert bases(log, 1, 11) == list(range(10, 80, 2)) and bases(log, 2, 33) == list(range(32, 80, 2))
        log.close()
        log = open_log(tmp_path)
    log.trim(2, 1000)
    assert (log.partition(2).start, log.partition(2).end) == (80, 80)
    log.close()


def test_retention_by_time(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=2)               # timestamps 1,000,000 to 1,000,039
    log.set_policy(1, retention_ms=1000)
    assert log.retain(1_001_010) == 1               # before it is sealed: batch by batch
    assert (log.partition(1).start, log.partition(2).start) == (20, 0)
    log.seal()
    assert log.retain(1_001_030) == 0               # a sealed run goes whole, when its youngest is old
    assert log.retain(1_001_040) == 1
    assert (log.partition(1).start, log.partition(1).end) == (80, 80)
    assert log.partition(1).append(batch([b"x"]))[0] == 80
    log.close()


def test_retention_by_size(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1)
    part = log.partition(1)
    each = part.bytes // 40
    log.set_policy(1, retention_bytes=10 * each)
    assert log.retain(0) == 1 and part.start == 60 and part.bytes == 10 * each
    assert log.retain(0) == 0
    log.seal()
    for _ in range(10):
        part.append(batch([b"0" + b"." * 300] * 2))
    assert log.retain(0) == 1 and part.start == 80
    log.close()
    log = open_log(tmp_path)
    assert (log.partition(1).start, log.partition(1).bytes) == (80, 10 * each)
    log.close()


def test_retention_by_size_counts_what_is_being_sealed_once(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.state_put(1, b"the first to be carried forward", b"value")
    part = log.create_stream("t", ID, 0, 1)
    for _ in range(40):
        part.append(batch([b"x" * 1000]))
    log.set_policy(part.stream, retention_bytes=part.bytes + 40 * 16)
    sealing = threading.Thread(target=log.seal)
    with StateHeld(log):                            # the runs are published, the journal still has the batches
        sealing.start()
        deadline = time.monotonic() + 30
        while not log.sealed():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert part.bytes > 0 and log.retain(0) == 0
    sealing.join()
    assert log.retain(0) == 0 and (part.start, part.bytes) == (0, 0)
    log.close()


def test_retention_goes_on_while_streams_come_and_go(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.default_policy(retention_ms=1)
    over = threading.Event()

    def churn() -> None:
        one = batch([b"x"], timestamp=1)
        for i in range(2000):
            part = log.create_stream("t", ID, i, 1)
            part.append(one)
            log.delete_stream(part.stream)
        over.set()

    thread = threading.Thread(target=churn)
    thread.start()
    while not over.is_set():
        log.retain(1 << 60)
    thread.join()
    log.close()


def test_a_compacted_stream_keeps_what_is_old(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1)
    log.set_policy(1, retention_ms=1, cleanup="compact")
    assert log.retain(1 << 60) == 0 and log.partition(1).start == 0
    log.set_policy(1, retention_ms=1, cleanup="compact,delete")
    assert log.retain(1 << 60) == 1 and log.partition(1).start == 80
    log.close()


def test_segment_ms_has_the_journal_sealed(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1)
    log.set_policy(1, segment_ms=1000)
    log.retain(0)
    assert log.partition(1).bytes > 0
    log.retain(1 << 60)
    log.seal()
    assert log.partition(1).bytes == 0 and log.stats()["sealed"]["batches"] == 40
    log.close()


def test_an_unknown_field_of_a_policy(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1, rounds=1)
    with pytest.raises(ValueError, match="retention_ms"):
        log.set_policy(1, retention=3)
    with pytest.raises(LookupError):
        log.set_policy(77, retention_ms=3)
    log.close()


# --- damage ---

def damaged_reads(path: Path, values: dict[int, bytes]) -> int:
    """Reads every offset; each is right, or reported. How many were right."""
    try:
        log = open_log(path)
    except LogError:
        return 0
    right = 0
    if log.streams():
        for base, whole in values.items():
            try:
                found = log.partition(1).read(base, 1)
            except (IndexError, LogError):
                continue
            if found[:8] == whole[:8]:
                assert found == whole
                right += 1
    log.close()
    return right


def test_flips_anywhere_in_a_sealed_file(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1, rounds=200, size=400)
    log.seal()
    values = {base: whole for base, _, whole in split(log.partition(1).read(0, 1 << 30))}
    log.close()
    file, = sealed_files(tmp_path)
    whole = file.read_bytes()
    random.seed(7)
    places = [*range(0, 64, 5), *range(len(whole) - 200, len(whole), 7), *random.sample(range(len(whole)), 150)]
    for place in places:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << random.randrange(8)]) + whole[place + 1:])
        right = damaged_reads(tmp_path, values)
        assert right >= len(values) - 1 or place < 64, place
        for kept in (tmp_path / "sealed").glob("*.damaged"):
            kept.unlink()
    file.write_bytes(whole)
    assert damaged_reads(tmp_path, values) == len(values)


def test_a_sealed_file_cut_short(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1, rounds=100)
    log.seal()
    values = {base: whole for base, _, whole in split(log.partition(1).read(0, 1 << 30))}
    log.close()
    file, = sealed_files(tmp_path)
    whole = file.read_bytes()
    before = len(values)
    for cut in range(len(whole) - 1, 64, -len(whole) // 40):
        file.write_bytes(whole[:cut])
        right = damaged_reads(tmp_path, values)
        assert before - 4 <= right <= before, "no more is lost than what was cut off"
        before = right
    assert before < 5


def test_a_reader_behind_the_last_record_that_is_left_waits(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=1)
    log.seal()
    log.close()
    file, = sealed_files(tmp_path)
    file.write_bytes(file.read_bytes()[:8000])
    log = open_log(tmp_path)
    part = log.partition(1)
    assert part.end == 80 and part.read(70) == b""
    part.append(batch([b"next"]))
    assert next(split(part.read(70)))[0] == 80
    log.close()


def test_a_large_hole_is_left_behind_by_the_index(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=16 << 20, journal_bytes=64 << 20)
    part = log.create_stream("t", ID, 0, 1)
    for _ in range(1200):
        part.append(batch([b"x" * 10_000]))
    log.seal()
    log.close()
    file, = sealed_files(tmp_path)
    with file.open("r+b") as out:
        out.seek(1 << 20)
        out.write(bytes(8 << 20))
    log = open_log(tmp_path, segment_bytes=16 << 20, journal_bytes=64 << 20)
    with pytest.raises(LogError, match="damaged") as told:
        part = log.partition(1)
        for offset in range(1200):
            part.read(offset, 1)
    goes_on = int(str(told.value).split("go on at ")[1].split()[0])
    assert 929 <= goes_on <= 935 and next(split(part.read(goes_on, 1)))[0] == goes_on
    log.close()


def test_a_directory_before_the_file_is_not_believed(tmp_path: Path) -> None:
    from robustmq._fastpath.crc import crc32c_bytes
    log = filled(tmp_path, streams=1)
    log.seal()
    log.close()
    file, = sealed_files(tmp_path)
    whole = file.read_bytes()
    whole = whole[:len(whole) // 96 * 96 - 96] + bytes(96)
    foot = struct.pack("<QQQQII8s", -64 & (1 << 64) - 1, len(whole) // 96, len(whole), 1, 0, 1, b"RMQSEALE")
    file.write_bytes(whole[:-64] + foot + struct.pack("<I12x", crc32c_bytes(foot)))
    log = open_log(tmp_path)
    assert log.recovered["notes"] and bases(log, 1, 0)[0] == 0
    log.close()


def test_sealed_records_outlive_a_state_log_that_was_damaged(tmp_path: Path) -> None:
    log = filled(tmp_path, streams=2)
    log.seal()
    log.close()
    file, = sealed_files(tmp_path)
    whole = file.read_bytes()
    for segment in (tmp_path / "state").glob("*.journal"):
        segment.write_bytes(b"damaged!" + segment.read_bytes()[8:])
    log = open_log(tmp_path)
    assert log.streams() == [] and any(".orphaned" in note for note in log.recovered["notes"])
    log.seal()
    log.close()
    assert sealed_files(tmp_path) == [] and file.with_suffix(".orphaned").read_bytes() == whole


def test_a_file_of_a_later_format_is_refused(tmp_path: Path) -> None:
    from robustmq._fastpath.crc import crc32c_bytes
    log = filled(tmp_path, streams=1)
    log.seal()
    log.close()
    file, = sealed_files(tmp_path)
    whole = bytearray(file.read_bytes())
    whole[8] = 2
    whole[24:28] = crc32c_bytes(bytes(whole[:24])).to_bytes(4, "little")
    file.write_bytes(whole)
    with pytest.raises(LogError, match="another version"):
        open_log(tmp_path)


def test_what_retention_left_in_shared_files_is_no_loss(tmp_path: Path) -> None:
    """Of a stream's runs the oldest stands in a file that another stream keeps; what followed it has been deleted."""
    log = open_log(tmp_path)
    parts = [log.create_stream(f"t{i}", ID, i, 1) for i in range(2)]
    for part in parts:
        part.append(batch([b"old"]))
    log.seal()
    parts[0].append(batch([b"deleted"]))
    log.seal()
    assert parts[0].append(batch([b"kept"]))[0] == 2
    log.sync()
    log.trim(1, 2)
    log.close()
    assert len(sealed_files(tmp_path)) == 1
    log = open_log(tmp_path)
    assert log.recovered["gaps"] == 0 and log.recovered["notes"] == []
    assert log.partition(1).start == 2 and bases(log, 1, 2) == [2]
    log.close()
