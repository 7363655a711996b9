"""The journal in its directory: retirement, pins, recovery by every rule of recovery.pxd, and what the disk refuses."""
from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.stores.files import LogError
from tests.batches import batch, values
from tests.logs import ID, MIB, open_log, settled
from tests.shims import store

HEADER = 64
PAD, RESERVED = 2, 1


def segments(path: Path) -> list[Path]:
    return sorted((path / "journal").glob("*.journal"))


def entries(segment: Path) -> list[tuple[int, int]]:
    """(offset, length) of each entry in a segment file, pads left out."""
    data = segment.read_bytes()
    nonce, = struct.unpack_from("<I", data, 12)
    at, found = HEADER, []
    while at < len(data):
        mark, = struct.unpack_from("<Q", data, at)
        if mark >> 32 != nonce:
            break
        length = (mark & 0xFFFFFFFF) >> 2
        if not mark & PAD:
            found.append((at, length))
        at += (length + 7) & ~7
    return found


def written(path: Path, count: int, size: int = 100) -> list[tuple[int, int]]:
    """A log with `count` batches of one record, closed; where its entries stand in the first segment."""
    log = open_log(path)
    part = log.create_stream("t", ID)
    for i in range(count):
        part.append(batch([b"%d" % i + b"." * size]))
    log.close()
    return entries(segments(path)[0])


def numbers(log: Log) -> list[int]:
    part = log.partition(1)
    return [int(value.rstrip(b".")) for _, value in values(part.read(part.start, 1 << 30))]


# --- the directory ---

def test_a_second_broker_is_refused_by_pid(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    with pytest.raises(LogError, match=f"in use by another broker .pid {os.getpid()}."):
        open_log(tmp_path)
    log.close()
    open_log(tmp_path).close()


def test_a_foreign_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(LogError, match="not RobustMQ's"):
        open_log(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("files", [["LOCK", "CURRENT"], ["LOCK"]])
def test_a_foreign_directory_with_a_lock_file_is_refused(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).write_text("held by another program")
    with pytest.raises(LogError, match="not RobustMQ's"):
        open_log(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


@pytest.mark.parametrize("pid", ["", "4711\n"])
def test_a_broker_that_was_killed_at_its_first_start_left_only_a_lock(tmp_path: Path, pid: str) -> None:
    (tmp_path / "LOCK").write_text(pid)
    open_log(tmp_path).close()


def test_another_version_is_refused(tmp_path: Path) -> None:
    written(tmp_path, 1)
    (tmp_path / "journal/FORMAT").write_text("robustmq journal 9\nsegment_bytes 1048576\n")
    with pytest.raises(LogError, match="another version"):
        open_log(tmp_path)


def test_a_path_that_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="choose a directory"):
        open_log(tmp_path / "file/below")


def test_the_segment_size_is_the_directory_s(tmp_path: Path) -> None:
    written(tmp_path, 3)
    log = open_log(tmp_path, segment_bytes=4 * MIB)
    assert log.stats()["wal"]["segment_bytes"] == MIB and numbers(log) == [0, 1, 2]
    log.close()


# --- recovery ---

def test_everything_is_there_again(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number in range(3):
        part = log.create_stream(f"topic.{number}", bytes([number]) * 16, number, 1 + number % 2)
        for i in range(number * 10):
            part.append(batch([b"%d" % i], producer=7, epoch=1, sequence=i))
    gone = log.create_stream("gone", ID)
    gone.append(batch([b"x"]))
    log.delete_stream(gone.stream)
    memory = log.create_stream("cache", ID, 0, 0)
    memory.append(batch([b"x"]))
    log.state_put(1, b"a", b"1")
    log.state_put(1, b"a", b"2")
    log.state_put(1, b"b", b"1")
    log.state_put(1, b"b", None)
    before = [row for row in log.streams() if row[0] != "cache"]
    log.close()
    log = open_log(tmp_path)
    assert log.streams() == before
    assert log.state_items(1) == [(b"a", b"2")]
    assert log.recovered["dropped"] == log.recovered["gaps"] == log.recovered["orphans"] == 0
    part = log.partition(3)
    assert part.append(batch([b"19"], producer=7, epoch=1, sequence=19))[0] == 19
    assert part.append(batch([b"20"], producer=7, epoch=1, sequence=20))[0] == 20
    assert log.create_stream("new", ID).stream > gone.stream
    log.close()


def test_streams_whose_directory_entry_was_carried_behind_their_batches(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    first, second = log.create_stream("first", ID, 0, 1), log.create_stream("second", ID, 1, 1)
    for i in range(1500):
        first.append(batch([b"x" * 10_000]))
        if i % 100 == 0:
            second.append(batch([b"%d" % i], producer=3, epoch=0, sequence=i // 100))
    log.state_put(1, b"k", b"v")
    settled(log)
    before = log.streams()
    log.close()
    log = open_log(tmp_path)
    assert log.recovered["sealed_runs"] > 0, "nothing left the journal"
    assert log.streams() == before and log.state_items(1) == [(b"k", b"v")]
    assert log.partition(2).append(batch([b"x"], producer=3, epoch=0, sequence=15))[0] == 15
    log.close()


def test_many_restarts_do_not_use_up_segments(tmp_path: Path) -> None:
    for i in range(20):
        log = open_log(tmp_path)
        part = log.partition(1) if log.streams() else log.create_stream("t", ID)
        part.append(batch([b"%d" % i]))
        assert numbers(log) == list(range(i + 1))
        log.close()
    assert len(segments(tmp_path)) == 1


def test_a_torn_tail_at_every_byte(tmp_path: Path) -> None:
    """Of the last three entries: what is whole before the tear is there, and appends go on after it."""
    where = written(tmp_path, 6, 20)
    segment = segments(tmp_path)[0]
    whole = segment.read_bytes()
    end = where[-1][0] + where[-1][1]
    for tear in range(where[-3][0], end):
        torn = whole[:tear] + bytes(len(whole) - tear)
        segment.write_bytes(torn)
        log = open_log(tmp_path)
        kept = [torn[at:at + length] == whole[at:at + length] for at, length in where]
        left = sum(kept) - 1                                # the first is the directory entry
        assert numbers(log) == list(range(left)), tear
        assert log.partition(1).append(batch([b"%d" % left]))[0] == left
        log.close()
        log = open_log(tmp_path)
        assert numbers(log) == list(range(left + 1)), tear
        log.close()


def test_a_tear_with_garbage_behind_it(tmp_path: Path) -> None:
    """What lay behind the tail never comes back, although it is an entry of this segment's life."""
    where = written(tmp_path, 6, 20)
    segment = segments(tmp_path)[0]
    data = bytearray(segment.read_bytes())
    data[where[3][0]:where[3][0] + 8] = bytes(8)
    segment.write_bytes(data)
    log = open_log(tmp_path)
    assert numbers(log) == [0, 1]
    for i in (2, 3):
        log.partition(1).append(batch([b"%d" % i + b"." * 20]))
    log.close()
    log = open_log(tmp_path)
    assert numbers(log) == [0, 1, 2, 3]
    log.close()


@pytest.mark.parametrize("offset", [8, 12, 24, 47, 48, 60, 108, 130])
def test_a_flipped_bit_drops_the_entry_and_what_follows_it_in_its_stream(tmp_path: Path, offset: int) -> None:
    where = written(tmp_path, 6, 40)
    segment = segments(tmp_path)[0]
    data = bytearray(segment.read_bytes())
    data[where[4][0] + offset] ^= 1
    segment.write_bytes(data)
    log = open_log(tmp_path)
    assert numbers(log) == [0, 1, 2]
    assert log.recovered["dropped"] == 3
    log.close()
    log = open_log(tmp_path)
    assert numbers(log) == [0, 1, 2] and log.recovered["dropped"] == 0
    log.close()


def test_an_append_that_was_killed_in_the_middle_hides_nothing_of_others(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    parts = [log.create_stream("t", ID, number) for number in range(2)]
    for i in range(6):
        parts[i % 2].append(batch([b"%d" % i]))
    log.close()
    segment = segments(tmp_path)[0]
    data = bytearray(segment.read_bytes())
    at, _ = entries(segment)[2 + 4]                         # the last batch of partition 0
    data[at] |= RESERVED
    segment.write_bytes(data)
    log = open_log(tmp_path)
    assert [value for _, value in values(log.partition(1).read(0))] == [b"0", b"2"]
    assert [value for _, value in values(log.partition(2).read(0))] == [b"1", b"3", b"5"]
    assert log.partition(1).append(batch([b"4"]))[0] == 2
    log.close()


def test_damage_in_an_older_segment_is_reported_and_the_rest_is_kept(tmp_path: Path) -> None:
    written(tmp_path, 250, 10_000)
    assert len(segments(tmp_path)) >= 3
    second = segments(tmp_path)[1]
    data = bytearray(second.read_bytes())
    at, _ = entries(second)[10]
    data[at:at + 8] = bytes(8)
    second.write_bytes(data)
    log = open_log(tmp_path)
    found = numbers(log)
    assert len(log.recovered["notes"]) == 1 and "damaged" in log.recovered["notes"][0]
    assert log.recovered["gaps"] == 1
    assert found[0] == 0 and found[-1] == 249 and len(found) < 250
    assert log.partition(1).end == 250
    log.close()


def test_a_segment_on_its_way_to_a_new_life_is_removed(tmp_path: Path) -> None:
    written(tmp_path, 3)
    stray = tmp_path / "journal" / f"{2:016x}.journal"
    for content in (b"", bytes(5000), bytes(MIB)):
        stray.write_bytes(content)
        log = open_log(tmp_path)
        assert not stray.exists() and numbers(log) == [0, 1, 2] and log.recovered["notes"] == []
        log.close()


UNSYNCED = """
    import os, sys
    from robustmq._fastpath.stores.log import Log
    from tests.batches import batch
    log = Log(sys.argv[1], segment_bytes=1 << 20, journal_bytes=64 << 20)
    part = log.create_stream("t", bytes(16), 0, 1)
    for count in range(250):
        part.append(batch([b"%d" % count + b"." * 10_000], producer=1, epoch=0, sequence=count))
    if sys.argv[2] == "synced":
        log.sync()
    os._exit(0)
"""


@pytest.mark.parametrize("synced", [True, False])
def test_a_hole_is_damage_or_was_never_synced(tmp_path: Path, synced: bool) -> None:
    """A power cut takes the end of one segment and leaves the next: no gap, the offsets are given out again."""
    command = [sys.executable, "-c", textwrap.dedent(UNSYNCED), str(tmp_path), "synced" if synced else "not"]
    subprocess.run(command, check=True, timeout=60)
    with (tmp_path / "journal" / f"{1:016x}.journal").open("r+b") as file:
        file.seek(MIB // 2)
        file.write(bytes(MIB // 2))
    log = open_log(tmp_path)
    found = numbers(log)
    assert len(log.recovered["notes"]) == 1
    if synced:
        assert "damaged" in log.recovered["notes"][0] and log.recovered["gaps"] == 1 and found[-1] == 249
    else:
        assert "never synced" in log.recovered["notes"][0] and log.recovered["gaps"] == 0
        assert found == list(range(len(found))) and 40 < len(found) < 60
        again = batch([b"x"], producer=1, epoch=0, sequence=len(found))
        assert log.partition(1).append(again)[0] == len(found)
    log.close()


@pytest.mark.parametrize("offset", [0, 8, 12, 16, 24, 32])
def test_a_damaged_header_costs_its_segment_and_is_reported(tmp_path: Path, offset: int) -> None:
    written(tmp_path, 250, 10_000)
    second = segments(tmp_path)[1]
    data = bytearray(second.read_bytes())
    data[offset] ^= 1
    second.write_bytes(data)
    log = open_log(tmp_path)
    notes = log.recovered["notes"]
    assert len(notes) == 2 and "kept as 0000000000000002.damaged" in notes[0] and "missing" in notes[1]
    found = numbers(log)
    assert found[0] == 0 and found[-1] == 249 and len(found) < 250 and log.recovered["gaps"] == 1
    assert second.with_suffix(".damaged").read_bytes() == data
    log.close()


def test_a_lower_bound_than_before(tmp_path: Path) -> None:
    log = open_log(tmp_path, journal_bytes=32 * MIB)
    part = log.create_stream("t", ID)
    for i in range(2500):
        part.append(batch([b"%d" % i + b"." * 10_000]))
    log.close()
    log = open_log(tmp_path, journal_bytes=4 * MIB)
    settled(log, 4)
    assert numbers(log) == list(range(2500))
    log.close()
    assert len(segments(tmp_path)) <= 5


# --- retirement and pins ---

@pytest.mark.parametrize("kind", ["memory", "wal"])
def test_a_reader_s_segment_waits_for_it(tmp_path: Path, kind: str) -> None:
    log = open_log(tmp_path if kind == "wal" else None)
    part = log.create_stream("t", ID, 0, 1)
    part.append(batch([b"held"]))
    pin = store.Pin(log, part.stream, 0)
    before = pin.read()
    for _ in range(2000):
        part.append(batch([b"x" * 10_000]))
    deadline = time.monotonic() + 20
    while log.stats()[kind]["pinned"] != 1:             # more: one is being retired
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (part.start == 0) == (kind == "wal")
    assert pin.read() == before
    pin.release()
    while log.stats()[kind]["pinned"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    log.close()


def test_files_are_used_again(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    part = log.create_stream("t", ID, 0, 1)
    inodes = set()
    for _ in range(30):
        for _ in range(100):
            part.append(batch([b"x" * 10_000]))
        settled(log)
        log.sync()
        inodes |= {entry.inode() for entry in os.scandir(tmp_path / "journal")}
    assert log.stats()["wal"]["retired"] > 15 and len(inodes) <= 16
    log.close()


# --- what the disk refuses ---

def test_a_failed_sync_is_final(tmp_path: Path) -> None:
    async def scenario(log: Log) -> None:
        part = log.create_stream("t", ID)
        waiting = log.wait_durable(part.append(batch([b"x"]))[1] + MIB)
        store.fail(log)
        with pytest.raises(LogError, match="read-only"):
            await asyncio.wait_for(waiting, 10)
        with pytest.raises(LogError):
            part.append(batch([b"x"]))
        assert log.health() == "failed" and len(values(part.read(0))) == 1

    log = open_log(tmp_path)
    asyncio.run(scenario(log))
    log.close()


def test_after_a_failed_sync_the_disk_counts(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.create_stream("t", ID).append(batch([b"0"]))
    log.sync()
    store.fail(log)
    log.close()
    log = open_log(tmp_path)
    assert log.recovered["notes"] == [
        "a sync had failed in segment 0000000000000001: what was not acknowledged may be lost"]
    assert len(numbers(log)) == 1
    log.close()
    log = open_log(tmp_path)
    assert log.recovered["notes"] == []
    log.close()


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from robustmq._fastpath.stores.log import Log
    from robustmq._fastpath.stores.files import LogError
    from tests.batches import batch
    log = Log(sys.argv[1], segment_bytes=1 << 20, journal_bytes=64 << 20)
    part = log.create_stream("t", bytes(16), 0, 1)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    part.append(batch([b"0"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, resource.RLIM_INFINITY))       # no further segment can be made
    count = 1
    try:
        while count < 1000:
            part.append(batch([b"%d" % count + b"." * 10_000]))
            count += 1
    except LogError as error:
        assert "full" in str(error), error
        assert log.health() == "full"
        assert part.read(0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    made = sorted(Path(sys.argv[1]).rglob("*"))
    try:
        log.seal()                      # closes the segment at the tail, which takes the next one
    except LogError as error:
        assert sorted(Path(sys.argv[1]).rglob("*")) == made, "what failed is not tried again before a restart"
        print(count)
"""


def test_a_full_disk_is_final_and_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path)], capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 0 and 50 < int(done.stdout) < 1000, done
    log = open_log(tmp_path)
    assert numbers(log) == list(range(int(done.stdout)))
    log.close()


@pytest.mark.parametrize("slack", [8 * MIB, 24 * MIB])
def test_what_comes_after_a_press_has_room(tmp_path: Path, slack: int) -> None:
    """Those who append in the same turn are not refused, as long as they bring what was agreed."""
    body = batch([b"x" * 200_000])
    log = open_log(tmp_path, slack_bytes=slack)
    part = log.create_stream("t", ID, 0, 1)
    done, status = store.append_in_one_turn(log, part.stream, body, 1000)
    bound = 8 * MIB
    assert status == 48 and slack <= done * len(body) - 2 * bound <= slack + 6 * MIB
    assert log.health() == "ok"
    part.append(body)
    log.close()
