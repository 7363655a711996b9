"""The state log: what is no batch outlives the journal's segments there, whatever its size."""
from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.stores.files import LogError
from tests.batches import batch
from tests.logs import ID, MIB, open_log
from tests.shims import store

SPACE = 1


def turned(log: Log) -> None:
    """Everything that the journal has is sealed or carried."""
    log.state_put(9, b"any", b"")       # a segment without an entry is not closed
    log.seal()


def reopened(log: Log, path: Path, **bounds: int) -> Log:
    log.close()
    return open_log(path, **bounds)


def damage(path: Path, word: bytes) -> None:
    """A bit of `word`, where it stands in the state log."""
    file, = (file for file in (path / "state").glob("*.journal") if word in file.read_bytes())
    data = bytearray(file.read_bytes())
    data[data.index(word)] ^= 1
    file.write_bytes(data)


def kept(log: Log) -> dict[bytes, bytes]:
    return dict(log.state_items(SPACE))


def test_state_may_be_larger_than_the_journal(tmp_path: Path) -> None:
    log = open_log(tmp_path, journal_bytes=4 * MIB)
    values = {b"%d" % i: b"%d" % i * 50_000 for i in range(200)}
    part = log.create_stream("t", ID)
    for key, value in values.items():
        log.state_put(SPACE, key, value)
        part.append(batch([key]))
    assert sum(map(len, values.values())) > 16 * MIB
    turned(log)
    assert kept(log) == values and log.stats()["wal"]["bytes_kept"] <= 4 * MIB
    log = reopened(log, tmp_path, journal_bytes=4 * MIB)
    assert kept(log) == values and log.partition(part.stream).end == 200 and log.recovered["notes"] == []
    log.close()


def test_what_is_deleted_stays_deleted(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.state_put(SPACE, b"key", b"1")
    log.state_put(SPACE, b"other", b"1")
    turned(log)
    log.state_put(SPACE, b"key", None)
    log = reopened(log, tmp_path)
    assert kept(log) == {b"other": b"1"}, "the deletion is in the journal"
    turned(log)
    log = reopened(log, tmp_path)
    assert kept(log) == {b"other": b"1"}, "the deletion is in the state log"
    log.state_put(SPACE, b"key", b"2")
    turned(log)
    log = reopened(log, tmp_path)
    assert kept(log) == {b"key": b"2", b"other": b"1"}
    log.close()


def test_a_deleted_stream_stays_deleted(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number in range(2):
        log.create_stream(f"t{number}", ID).append(batch([b"x"]))
    turned(log)
    log.delete_stream(1)
    for _ in range(2):
        log = reopened(log, tmp_path)
        assert [row[0] for row in log.streams()] == ["t1"] and log.recovered["notes"] == []
        turned(log)
    log.close()


@pytest.mark.parametrize("seed", range(3))
def test_it_follows_what_lives(tmp_path: Path, seed: int) -> None:
    """Some values change all the time, some never: twice what lives, and the segments at both ends."""
    dice = random.Random(seed)
    log = open_log(tmp_path)
    expected: dict[bytes, bytes] = {}
    stale = {b"stale%d" % i: dice.randbytes(20_000) for i in range(100)}
    for key, value in stale.items():
        log.state_put(SPACE, key, value)
    for turn in range(40):
        for _ in range(40):
            key = b"%d" % dice.randrange(100)
            if dice.random() < 0.2:
                expected.pop(key, None)
                log.state_put(SPACE, key, None)
            else:
                expected[key] = dice.randbytes(dice.choice([10, 30_000]))
                log.state_put(SPACE, key, expected[key])
        turned(log)
        living = sum(map(len, (expected | stale).values()))
        assert log.stats()["state"]["bytes_kept"] < 2 * living + 4 * MIB
        if turn % 10 == 9:
            assert log.stats()["state"]["retired"] > 0
            log = reopened(log, tmp_path)
            assert kept(log) == expected | stale
    log.close()


def churn(log: Log, turns: int, values: int, size: int) -> None:
    """The same few values again and again."""
    for _ in range(turns):
        for i in range(values):
            log.state_put(SPACE + 1, b"%d" % i, bytes(size))
        turned(log)


def test_what_is_little_for_long_is_not_paid_for_at_once(tmp_path: Path) -> None:
    """As long as there is one segment nothing can be given up, however much comes: that is not a debt."""
    log = open_log(tmp_path)
    churn(log, 40, 5, 150_000)
    before = log.stats()["state"]
    for i in range(40):
        log.state_put(SPACE, b"%d" % i, bytes(200_000))
    turned(log)
    after = log.stats()["state"]
    assert before["bytes"] > 25 * MIB and after["bytes"] - before["bytes"] < 4 * 40 * 200_000
    log.close()


def test_what_died_at_once_goes_soon(tmp_path: Path) -> None:
    """Many large values are deleted; a deletion is small, and so is what comes later."""
    log = open_log(tmp_path)
    for i in range(100):
        log.state_put(SPACE, b"%d" % i, bytes(200_000))
        if i % 20 == 19:
            turned(log)
    assert log.stats()["state"]["bytes_kept"] > 19 * MIB
    for i in range(100):
        log.state_put(SPACE, b"%d" % i, None)
    churn(log, 40, 10, 10_000)
    assert log.stats()["state"]["bytes_kept"] < 3 * MIB
    log = reopened(log, tmp_path)
    assert kept(log) == {}
    log.close()


def test_the_number_of_a_deleted_stream_is_not_used_again(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for i in range(3):
        log.create_stream(f"t{i}", ID)
    log.delete_stream(3)
    log.create_stream("fleeting", ID, 0, 0)     # in memory: it has the next number
    churn(log, 10, 10, 100_000)
    assert log.stats()["state"]["retired"] > 5
    for number in (4, 5):
        log = reopened(log, tmp_path)
        assert log.create_stream("new", ID).stream == number
    log.close()


def test_a_lost_name_deletes_no_records(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for name in ("first", "second"):
        log.create_stream(name, ID).append(batch([b"x" * 200_000]))
    turned(log)
    log.close()
    damage(tmp_path, b"second")
    log = open_log(tmp_path)
    note, = log.recovered["notes"]
    assert "does not know any more" in note and len(list((tmp_path / "sealed").glob("*.orphaned"))) == 1
    assert [row[0] for row in log.streams()] == ["first"]
    log.close()


def test_a_kill_between_the_copy_and_the_end_of_the_segment(tmp_path: Path) -> None:
    """The journal of before, the state log of after."""
    log = open_log(tmp_path / "a")
    part = log.create_stream("t", ID)
    for i in range(10):
        part.append(batch([b"x"]))
        log.state_put(SPACE, b"%d" % (i % 3), b"%d" % i)
    log.state_put(SPACE, b"1", None)
    log.sync()
    shutil.copytree(tmp_path / "a" / "journal", tmp_path / "b" / "journal")
    before = kept(log)
    turned(log)
    for name in ("state", "sealed"):
        shutil.copytree(tmp_path / "a" / name, tmp_path / "b" / name)
    log.close()
    log = open_log(tmp_path / "b")
    for _ in range(3):
        assert kept(log) == before == {b"0": b"9", b"2": b"8"}
        assert log.partition(part.stream).end == 10 and log.recovered["notes"] == []
        turned(log)
        log = reopened(log, tmp_path / "b")
    log.close()


def test_an_idle_log_has_none(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.create_stream("t", ID).append(batch([b"x"]))
    assert [file.name for file in (tmp_path / "state").iterdir()] == ["FORMAT"]
    log.close()


def test_damage_is_told_and_costs_one_entry(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for i in range(100):
        log.state_put(SPACE, b"%03d" % i, b"value %03d" % i)
    turned(log)
    log.close()
    damage(tmp_path, b"value 050")
    log = open_log(tmp_path)
    assert log.recovered["dropped"] == 1 and set(kept(log)) == {b"%03d" % i for i in range(100)} - {b"050"}
    log.close()


def test_what_fails_there_is_heard_at_once(tmp_path: Path) -> None:
    """Not when the next segment of the journal is to go."""
    log = open_log(tmp_path)
    part = log.create_stream("t", ID, 0, 1)
    part.append(batch([b"x"]))
    store.fail_state_log(log)
    assert log.health() == "failed"
    with pytest.raises(LogError, match="a write failed"):
        part.append(batch([b"x"]))
    with pytest.raises(LogError, match="cannot sync"):
        log.sync()
    log.close()
    log = open_log(tmp_path)
    assert log.partition(part.stream).end == 1 and log.health() == "ok"
    log.close()


def test_a_segment_may_end_with_a_mark(tmp_path: Path) -> None:
    """A pad of eight bytes, behind which nothing is mapped."""
    log, room = open_log(tmp_path), MIB
    while room > 8:
        room = -log.stats()["wal"]["tail"] % MIB
        log.state_put(SPACE, b"key", bytes(100_000 if room > 300_000 else room - 8 - 48 - len(b"key")))
        room = -log.stats()["wal"]["tail"] % MIB
    assert room == 8
    log.state_put(SPACE, b"key", b"in the next segment")
    log = reopened(log, tmp_path)
    assert log.recovered["notes"] == [] and kept(log) == {b"key": b"in the next segment"}
    log.close()
