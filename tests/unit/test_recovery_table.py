"""docs/operations/recovery.md, row by row: what is kept, what is reported, what refuses to start."""
from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.stores.files import LogError
from robustmq.cli.main import main as ctl
from robustmq.server.directory import settle
from robustmq.server.errors import StartError
from robustmq.server.meta.sqlite import SqliteStore
from tests.batches import batch, split
from tests.logs import ID, open_log
from tests.shims.store import session_events, session_snapshot

ROUNDS = 300
MIDDLE = -3                 # a segment with others around it; older ones may have been sealed meanwhile


def made(path: Path, *, sealed: bool, first: int = 0) -> None:
    """A log with two streams of ROUNDS batches of 10 kB: about six segments; or all of it in sealed files."""
    log = open_log(path, journal_bytes=64 << 20)
    parts = [log.create_stream(f"t{i}", ID, i, 1) for i in range(2)]
    for i in range(first, first + ROUNDS):
        for part in parts:
            part.append(batch([b"%d:" % i + b"." * 10_000]))
    if sealed:
        log.seal()
    log.close()


def segments(path: Path) -> list[Path]:
    """Those with entries."""
    return [file for file in sorted((path / "journal").glob("*.journal")) if entries(file)]


def sealed_files(path: Path) -> list[Path]:
    return sorted((path / "sealed").glob("*.sealed"))


def entries(segment: Path) -> list[tuple[int, int]]:
    """(offset, length) of each entry, pads left out."""
    data = segment.read_bytes()
    nonce, = struct.unpack_from("<I", data, 12)
    at, found = 64, []
    while at < len(data):
        mark, = struct.unpack_from("<Q", data, at)
        if mark >> 32 != nonce:
            break
        length = (mark & 0xFFFFFFFF) >> 2
        if not mark & 2:
            found.append((at, length))
        at += (length + 7) & ~7
    return found


def flip(file: Path, byte: int) -> None:
    data = bytearray(file.read_bytes())
    data[byte] ^= 1
    file.write_bytes(data)


def there(log: Log, stream: int) -> list[int]:
    """Offsets that are served; each must carry the value that was written there."""
    part, found = log.partition(stream), []
    for offset in range(part.end):
        try:
            data = part.read(offset, 1)
        except (IndexError, LogError):
            continue
        base, _, one = next(split(data))
        if base == offset:
            assert b"%d:" % offset in one[61:90], f"offset {offset} serves another record"
            found.append(offset)
    return found


def damage_told(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `storage check` says; exit status 1."""
    assert ctl(["storage", "check", str(path)]) == 1
    return capsys.readouterr().out


def recovered(path: Path) -> tuple[list[int], str]:
    """Offsets of stream 1 after a start, and the notes. Stream 2 must be writable."""
    log = open_log(path, journal_bytes=64 << 20)
    try:
        log.partition(2).append(batch([b"more"]))
        return there(log, 1), " / ".join(log.recovered["notes"])
    finally:
        log.close()


def test_nothing_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, sealed in (("journal", False), ("sealed", True)):
        made(tmp_path / name, sealed=sealed)
        assert ctl(["storage", "check", str(tmp_path / name)]) == 0
        assert "0 damages" in capsys.readouterr().out
        assert recovered(tmp_path / name) == (list(range(ROUNDS)), "")


def test_the_tail_is_torn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, sealed=False)
    last = segments(tmp_path)[-1]
    at, length = entries(last)[-1]
    flip(last, at + length - 1)
    assert f"{last.name} byte {at}" in damage_told(tmp_path, capsys)
    found, notes = recovered(tmp_path)
    assert found[:ROUNDS - 1] == list(range(ROUNDS - 1)) and not notes


def test_the_tail_is_torn_behind_sealed_records(tmp_path: Path) -> None:
    """What comes after the hole was never durable either: its producer sends all of it again, in order."""
    made(tmp_path, sealed=True)
    log = open_log(tmp_path, journal_bytes=64 << 20)
    for i in range(ROUNDS, ROUNDS + 3):
        log.partition(1).append(batch([b"%d:" % i]))
    log.create_stream("new", ID)
    for i in range(3):
        log.partition(3).append(batch([b"%d:" % i]))
    log.close()
    last = segments(tmp_path)[-1]
    for number in (-7, -3):                     # the first batch of each
        at, length = entries(last)[number]
        flip(last, at + length - 1)
    log = open_log(tmp_path, journal_bytes=64 << 20)
    assert (log.partition(1).end, log.partition(3).end) == (ROUNDS, 0)
    assert log.recovered["dropped"] == 6 and log.recovered["notes"] == []
    log.close()


@pytest.mark.parametrize("cores", [1, 2])
def test_a_record_in_the_middle(tmp_path: Path, cores: int, capsys: pytest.CaptureFixture[str],
                                monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the thread before the scan, or by the scan itself."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    made(tmp_path, sealed=False)
    at, _ = entries(segments(tmp_path)[MIDDLE])[10]
    flip(segments(tmp_path)[MIDDLE], at + 200)
    assert "the crc of a batch does not match" in damage_told(tmp_path, capsys)
    log = open_log(tmp_path, journal_bytes=64 << 20)
    assert len(there(log, 1)) + len(there(log, 2)) == 2 * ROUNDS - 1 and log.recovered["gaps"] == 1
    log.close()


def test_a_mark_in_the_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, sealed=False)
    at, _ = entries(segments(tmp_path)[MIDDLE])[10]
    flip(segments(tmp_path)[MIDDLE], at + 7)
    assert "the chain of entries ends here" in damage_told(tmp_path, capsys)
    found, notes = recovered(tmp_path)
    assert found[0] == 0 and found[-1] == ROUNDS - 1 and f"damaged at byte {at}" in notes


def test_a_segment_s_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, sealed=False)
    flip(segments(tmp_path)[MIDDLE], 17)
    assert "everything in it is lost" in damage_told(tmp_path, capsys)
    found, notes = recovered(tmp_path)
    assert found[0] == 0 and found[-1] == ROUNDS - 1 and ".damaged" in notes and "missing" in notes


def test_a_segment_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, sealed=False)
    segments(tmp_path)[MIDDLE].unlink()
    assert "are missing: what they held is lost" in damage_told(tmp_path, capsys)
    found, notes = recovered(tmp_path)
    assert found[0] == 0 and found[-1] == ROUNDS - 1 and "are missing" in notes


def test_the_journal_is_gone(tmp_path: Path) -> None:
    made(tmp_path, sealed=True)
    before = {file.name: file.read_bytes() for file in sealed_files(tmp_path)}
    shutil.rmtree(tmp_path / "journal")
    with pytest.raises(LogError, match="journal is empty or gone although there are"):
        open_log(tmp_path)
    assert {file.name: file.read_bytes() for file in sealed_files(tmp_path)} == before


def test_all_segments_are_gone(tmp_path: Path) -> None:
    """What was sealed is served, the loss is told."""
    made(tmp_path, sealed=True)
    for segment in (tmp_path / "journal").glob("*.journal"):
        segment.unlink()
    found, notes = recovered(tmp_path)
    assert found == list(range(ROUNDS)) and notes == "all segments of the journal are missing: what they held is lost"


@pytest.mark.parametrize("named_by", ["sealed files", "a floor", "events"])
def test_positions_go_on_when_all_segments_are_gone(tmp_path: Path, named_by: str) -> None:
    """Sessions name what they have dealt with by its position, sealed records are found by theirs: none comes again."""
    log = open_log(tmp_path)
    part = log.create_stream("t", ID)
    for _ in range(3):
        if named_by == "sealed files":
            part.append(batch([b"x"]))
        elif named_by == "a floor":
            session_snapshot(log, 1, 1, log.stats()["wal"]["tail"])
        else:
            session_events(log, 1, 1)
        log.state_put(1, b"key", b"value")
        log.seal()
    before = log.stats()["wal"]["tail"]
    log.close()
    for segment in (tmp_path / "journal").glob("*.journal"):
        segment.unlink()
    log = open_log(tmp_path)
    assert log.stats()["wal"]["start"] > before
    log.partition(part.stream).append(batch([b"new"]))
    log.close()
    log = open_log(tmp_path)
    part = log.partition(part.stream)
    assert log.recovered["notes"] == [] and b"new" in part.read(part.end - 1)
    log.close()


def test_all_state_segments_are_gone(tmp_path: Path) -> None:
    """The names of the streams were in them: nothing is served, nothing is deleted."""
    made(tmp_path, sealed=True)
    count = len(sealed_files(tmp_path))
    for segment in (tmp_path / "state").glob("*.journal"):
        segment.unlink()
    log = open_log(tmp_path)
    notes, streams = log.recovered["notes"], log.streams()
    log.close()
    assert streams == []
    assert "does not know any more" in notes[0]
    assert len(list((tmp_path / "sealed").glob("*.orphaned"))) == count


@pytest.mark.parametrize("name", ["sealed", "state"])
def test_a_directory_is_gone(tmp_path: Path, name: str) -> None:
    made(tmp_path, sealed=True)
    shutil.rmtree(tmp_path / name)
    with pytest.raises(LogError, match=f"{name} is empty or gone"):
        open_log(tmp_path)


@pytest.mark.parametrize("name", ["sealed", "state"])
def test_a_directory_of_another_broker(tmp_path: Path, name: str) -> None:
    for owner in ("ours", "theirs"):
        made(tmp_path / owner, sealed=True)
    shutil.rmtree(tmp_path / "ours" / name)
    shutil.copytree(tmp_path / "theirs" / name, tmp_path / "ours" / name)
    with pytest.raises(LogError, match="belongs to another data directory"):
        open_log(tmp_path / "ours")


def test_a_sealed_file_is_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, sealed=True)
    file = sealed_files(tmp_path)[0]
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    assert "the file was cut short" in damage_told(tmp_path, capsys)
    found, notes = recovered(tmp_path)
    assert "cut short" in notes and "are missing" in notes and found[-1] == ROUNDS - 1


@pytest.mark.parametrize("from_end", [10, 40, 100])
def test_the_directory_of_a_sealed_file(tmp_path: Path, from_end: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Its footer or its rows: made again from the records, nothing is lost."""
    made(tmp_path, sealed=True)
    flip(sealed_files(tmp_path)[0], sealed_files(tmp_path)[0].stat().st_size - from_end)
    told = ctl(["storage", "check", str(tmp_path)])
    found, notes = recovered(tmp_path)
    assert found == list(range(ROUNDS))
    assert (told == 1) == ("made again" in notes) == (from_end != 10), "the last bytes of a footer are zeros to nobody"


def test_the_index_of_a_sealed_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, sealed=True)
    for file in sealed_files(tmp_path):
        data = file.read_bytes()
        rows_at, = struct.unpack_from("<Q", data, len(data) - 64)
        index_at, = struct.unpack_from("<Q", data, rows_at + 40)
        for byte in range(index_at, rows_at, 8):
            flip(file, byte)
    assert "index row" in damage_told(tmp_path, capsys)
    assert recovered(tmp_path) == (list(range(ROUNDS)), "")


def test_a_record_of_a_sealed_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, sealed=True)
    flip(sealed_files(tmp_path)[0], 300)
    assert "the crc of a batch does not match" in damage_told(tmp_path, capsys)
    log = open_log(tmp_path, journal_bytes=64 << 20)
    assert len(there(log, 1)) + len(there(log, 2)) == 2 * ROUNDS - 1
    assert log.stats()["sealed"]["corrupt"] > 0
    log.close()


def test_the_header_of_a_sealed_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, sealed=True)
    flip(sealed_files(tmp_path)[0], 3)
    assert "everything in it is lost" in damage_told(tmp_path, capsys)
    found, notes = recovered(tmp_path)
    assert found[-1] == ROUNDS - 1 and "kept as" in notes and "are missing" in notes


def test_a_sealed_file_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, sealed=True)
    sealed_files(tmp_path)[0].unlink()
    assert "missing" in damage_told(tmp_path, capsys)
    _, notes = recovered(tmp_path)
    assert "are missing" in notes


@pytest.mark.parametrize("file", ["journal/FORMAT", "state/FORMAT", "sealed/FORMAT"])
def test_another_version(tmp_path: Path, file: str) -> None:
    made(tmp_path, sealed=True)
    (tmp_path / file).write_text("robustmq journal 9\nsegment_bytes 1048576\n")
    with pytest.raises(LogError, match="another version"):
        open_log(tmp_path)


# --- metadata and log ---

def start(path: Path, work: Callable[[SqliteStore], object] | None = None) -> list[str]:
    """What a start says about log and metadata."""
    async def run() -> list[str]:
        log, meta = open_log(path), await SqliteStore.open(path / "meta.sqlite")
        try:
            return await settle(log, meta)
        finally:
            await meta.close()
            log.close()
    return asyncio.run(run())


def meta_files(path: Path, to: Path) -> None:
    to.mkdir(exist_ok=True)
    with sqlite3.connect(path / "meta.sqlite") as source, sqlite3.connect(to / "meta.sqlite") as copy:
        source.backup(copy)


def put_meta(source: Path, path: Path) -> None:
    for old in path.glob("meta.sqlite*"):
        old.unlink()
    shutil.copy(source / "meta.sqlite", path / "meta.sqlite")


def test_metadata_and_log_of_one_backup(tmp_path: Path) -> None:
    for _ in range(3):
        assert start(tmp_path / "a") == []
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert start(tmp_path / "a") == start(tmp_path / "b") == []


def test_metadata_older_than_the_log(tmp_path: Path) -> None:
    start(tmp_path / "a")
    meta_files(tmp_path / "a", tmp_path / "backup")
    start(tmp_path / "a")
    put_meta(tmp_path / "backup", tmp_path / "a")
    assert "the metadata is older than the log" in start(tmp_path / "a")[0]
    assert start(tmp_path / "a") == []


def test_metadata_gone(tmp_path: Path) -> None:
    start(tmp_path / "a")
    for file in (tmp_path / "a").glob("meta.sqlite*"):
        file.unlink()
    assert "the metadata is new but the log is not" in start(tmp_path / "a")[0]


def test_log_older_than_the_metadata(tmp_path: Path) -> None:
    start(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "backup")
    start(tmp_path / "a")
    for name in ("journal", "state", "sealed"):
        shutil.rmtree(tmp_path / "a" / name)
        shutil.copytree(tmp_path / "backup" / name, tmp_path / "a" / name)
    assert "the log is older than the metadata" in start(tmp_path / "a")[0]
    assert start(tmp_path / "a") == []


@pytest.mark.parametrize("theirs", ["metadata", "log"])
def test_metadata_and_log_of_two_brokers(tmp_path: Path, theirs: str) -> None:
    for name in ("a", "b"):
        start(tmp_path / name)
    if theirs == "metadata":
        put_meta(tmp_path / "b", tmp_path / "a")
    else:
        for name in ("journal", "state", "sealed"):
            shutil.rmtree(tmp_path / "a" / name)
            shutil.copytree(tmp_path / "b" / name, tmp_path / "a" / name)
    with pytest.raises(StartError, match="belongs to another directory"):
        start(tmp_path / "a")


def test_each_row_of_the_page_is_a_test_and_the_other_way_round() -> None:
    page = (Path(__file__).parents[2] / "docs/operations/recovery.md").read_text()
    page = page.partition("## By damage")[2].partition("\n## ")[0]
    rows = [line.split("|")[-2].strip(" `") for line in page.splitlines() if line.startswith("|") and "`" in line]
    tests = [name.removeprefix("test_") for name in globals() if name.startswith("test_")]
    assert sorted(rows) == sorted(name for name in tests if not name.startswith("each_row"))


def test_a_segment_is_cut_short(tmp_path: Path) -> None:
    """By somebody else, or a copy that was not finished."""
    made(tmp_path, sealed=False)
    file = segments(tmp_path)[-1]
    cut = file.read_bytes().index(b"%d:" % (ROUNDS - 4))
    os.truncate(file, cut)
    found, notes = recovered(tmp_path)
    assert f"was cut short at byte {cut}" in notes and ROUNDS - 6 <= found[-1] < ROUNDS - 3
    assert found == list(range(found[-1] + 1))


@pytest.mark.parametrize("cores", [1, 2])
def test_a_page_that_the_disk_cannot_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    """Cut short when it is open already, which raises the same signal."""
    made(tmp_path, sealed=False)
    file = segments(tmp_path)[MIDDLE]
    whole = file.read_bytes()

    def counted(pid: int) -> set[int]:
        os.truncate(file, 4096 * 100)
        return set(range(cores))

    with monkeypatch.context() as patched:
        patched.setattr(os, "sched_getaffinity", counted)
        with pytest.raises(LogError, match="the disk has lost a page"):
            open_log(tmp_path)
    assert file.read_bytes() == whole[:4096 * 100], "what may be whole on the disk is not mended"
    file.write_bytes(whole)
    found, notes = recovered(tmp_path)
    assert found == list(range(ROUNDS)) and notes == ""
