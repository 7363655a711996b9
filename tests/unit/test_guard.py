"""Pages of mapped files that are lost under a running log: an error of that file, never the end of the process."""
from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.stores.files import LogError
from tests.batches import batch, values
from tests.logs import ID, MIB, open_log
from tests.shims import store

PAGE = 4096
FIRST = "0000000000000001.journal"


def cut_behind(file: Path, word: bytes) -> None:
    """Cut a file short, at the first page behind the last `word`."""
    os.truncate(file, (file.read_bytes().rindex(word) // PAGE + 1) * PAGE)


def stored(log: Log, stream: int) -> list[bytes]:
    part, found = log.partition(stream), []
    offset = part.start
    while offset < part.end:
        got = values(part.read(offset, 1 << 20))
        found += [value for _, value in got]
        offset = got[-1][0] + 1
    return found


@pytest.mark.parametrize("durability", [1, 2])
def test_an_append_into_a_lost_page_is_refused(tmp_path: Path, durability: int) -> None:
    told: list[str] = []

    async def scenario() -> list[bytes]:
        log, heard = open_log(tmp_path), asyncio.Event()

        def tell(health: str) -> None:
            told.append(health)
            heard.set()

        log.when_unwell(tell)
        part, fleeting = log.create_stream("t", ID, 0, durability), log.create_stream("m", ID, 0, 0)
        acked = [b"%d" % i for i in range(10)]
        for value in acked:
            await log.wait_durable(part.append(batch([value]))[1])
        cut_behind(tmp_path / "journal" / FIRST, b"9")
        with pytest.raises(LogError):
            for i in range(10, 1000):
                value = b"%d" % i + b"." * 1000
                await asyncio.wait_for(log.wait_durable(part.append(batch([value]))[1]), 20)
                acked.append(value)
        assert len(acked) < 20 and log.health() == "failed"
        with pytest.raises(LogError, match="a write failed"):
            part.append(batch([b"x"]))
        with pytest.raises(LogError, match="cannot sync"):
            log.sync()
        try:
            assert values(part.read(0, 1)) == [(0, b"0")]       # the keeper, which looks ahead, was the first to know
        except LogError as error:
            assert "lost a page" in str(error)
        fleeting.append(batch([b"x"]))
        assert values(fleeting.read(0)) == [(0, b"x")]
        await asyncio.wait_for(heard.wait(), 20)
        log.close()
        return acked

    acked = asyncio.run(scenario())
    assert told == ["failed"]
    log = open_log(tmp_path)
    assert log.health() == "ok" and stored(log, 1)[:len(acked)] == acked
    log.partition(1).append(batch([b"on"]))
    assert stored(log, 1)[-1] == b"on"
    log.close()


def test_a_reader_of_a_lost_page_gets_an_error(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    part = log.create_stream("t", ID, 0, 1)
    wanted = [b"%d" % i + b"." * 10_000 for i in range(20)]
    for value in wanted:
        part.append(batch([value]))
    log.sync()
    cut_behind(tmp_path / "journal" / FIRST, b"9" + b"." * 100)
    os.truncate(tmp_path / "journal" / FIRST, 100_000)
    assert values(part.read(0, 1)) == [(0, wanted[0])]
    with pytest.raises(LogError, match="lost a page"):
        part.read(15)
    assert log.health() == "failed"
    for offset in (0, 15):
        with pytest.raises(LogError, match="lost a page"):
            part.read(offset)
    with pytest.raises(LogError, match="a write failed"):
        part.append(batch([b"x"]))
    log.close()
    log = open_log(tmp_path)
    found = stored(log, 1)
    assert 8 <= len(found) < 12 and found == wanted[:len(found)]
    log.close()


def test_what_was_not_touched_is_not_taken_for_durable(tmp_path: Path) -> None:
    """The kernel drops pages behind the end of a file without a word."""
    log = open_log(tmp_path)
    part = log.create_stream("t", ID, 0, 1)
    part.append(batch([b"." * 200_000]))
    os.truncate(tmp_path / "journal" / FIRST, 100_000)      # within the entry, behind its mark
    with pytest.raises(LogError, match="cannot sync"):
        log.sync()
    assert log.health() == "failed"
    log.close()


def test_the_state_log_loses_a_page(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    part = log.create_stream("t", ID, 0, 1)
    log.state_put(1, b"old", b"value")
    log.seal()
    cut_behind(tmp_path / "state" / FIRST, b"oldvalue")
    for i in range(3):
        log.state_put(1, b"%d" % i, b"new" + b"." * 10_000)
    with pytest.raises(LogError):
        log.seal()
    assert log.health() == "failed"
    with pytest.raises(LogError, match="a write failed"):
        part.append(batch([b"x"]))
    log.close()
    log = open_log(tmp_path)
    assert {key for key, _ in log.state_items(1)} == {b"old", b"0", b"1", b"2"} and log.health() == "ok"
    log.close()


def test_a_segment_with_a_lost_page_is_not_sealed(tmp_path: Path) -> None:
    """The journal's copy may be whole after a restart: nothing takes its place."""
    log = open_log(tmp_path)
    part = log.create_stream("t", ID, 0, 1)
    for i in range(20):
        part.append(batch([b"%d" % i + b"." * 10_000]))
    log.state_put(1, b"key", b"value")
    log.sync()
    whole = (tmp_path / "journal" / FIRST).read_bytes()
    os.truncate(tmp_path / "journal" / FIRST, 100_000)
    with pytest.raises(LogError):
        log.seal()
    assert log.health() == "failed" and not list((tmp_path / "sealed").glob("*.sealed"))
    log.close()
    (tmp_path / "journal" / FIRST).write_bytes(whole)
    log = open_log(tmp_path)
    assert len(stored(log, 1)) == 20 and log.state_items(1) == [(b"key", b"value")]
    log.close()


def sealed_log(path: Path) -> tuple[Log, Path, list[bytes]]:
    """A stream in one sealed file, and one in the journal."""
    log = open_log(path)
    old, new = log.create_stream("old", ID, 0, 1), log.create_stream("new", ID, 0, 1)
    wanted = [b"%d" % i + b"." * 10_000 for i in range(40)]
    for value in wanted:
        old.append(batch([value]))
    log.seal()
    new.append(batch([b"here"]))
    [file] = (path / "sealed").glob("*.sealed")
    assert stored(log, old.stream) == wanted
    return log, file, wanted


@pytest.mark.parametrize("size", [0, PAGE, 200_000])
def test_a_sealed_file_loses_pages(tmp_path: Path, size: int) -> None:
    """Also those of its directory."""
    log, file, wanted = sealed_log(tmp_path)
    whole = file.read_bytes()
    os.truncate(file, size)
    with pytest.raises(LogError, match="damaged part of a sealed file"):
        log.partition(1).read(30)
    for offset in (0, 30):
        with pytest.raises(LogError, match="damaged part of a sealed file"):
            log.partition(1).read(offset)
    assert stored(log, 2) == [b"here"] and log.health() == "ok"
    log.partition(2).append(batch([b"more"]))
    log.set_policy(1, retention_ms=10**9)
    log.retain(log.partition(1).max_timestamp + 1000)
    log.partition(1).append(batch([b"behind"]))
    assert values(log.partition(1).read(40)) == [(40, b"behind")]
    log.seal()
    assert log.partition(1).start == 0, "what cannot be read is not what retention deletes"
    log.close()
    file.write_bytes(whole)
    log = open_log(tmp_path)
    assert stored(log, 1) == [*wanted, b"behind"] and stored(log, 2) == [b"here", b"more"]
    log.close()


def test_a_page_is_lost_once_and_told_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        log, file, _ = sealed_log(tmp_path)
        told: asyncio.Queue[str] = asyncio.Queue()
        log.when_unwell(told.put_nowait)
        os.truncate(file, 0)
        for _ in range(3):
            with pytest.raises(LogError, match="damaged"):
                log.partition(1).read(0)
        assert await asyncio.wait_for(told.get(), 20) == "unreadable"
        assert log.stats()["sealed"]["lost"] == 1 and told.empty()
        log.close()

    asyncio.run(scenario())


def test_appenders_and_a_cut(tmp_path: Path) -> None:
    """Every thread is told, and none is acknowledged what is not there."""
    log = open_log(tmp_path, segment_bytes=16 * MIB, journal_bytes=64 * MIB)
    streams = [log.create_stream(f"t{i}", ID, 0, 1).stream for i in range(3)]
    refused: list[Exception] = []

    def append(stream: int) -> None:
        try:
            store.append_many(log, stream, batch([b"." * 3000]), 1_000_000)
        except RuntimeError as error:
            refused.append(error)

    threads = [threading.Thread(target=append, args=[stream]) for stream in streams]
    for thread in threads:
        thread.start()
    while log.stats()["wal"]["tail"] < 20 * MIB:
        pass
    for file in (tmp_path / "journal").iterdir():
        os.truncate(file, PAGE)
    for thread in threads:
        thread.join()
    assert [str(error) for error in refused] == ["status 49"] * 3 and log.health() == "failed"
    log.close()


OTHERS = """
    import faulthandler, mmap, os, sys
    from pathlib import Path
    if sys.argv[2] == "dump":
        faulthandler.enable()
    from tests.logs import open_log
    log = open_log(Path(sys.argv[1]) / "data")
    other = Path(sys.argv[1]) / "other"
    other.write_bytes(bytes(8192))
    with other.open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 8192)
    os.truncate(other, 0)
    print(mapping[5000])
"""


@pytest.mark.skipif("san.so" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer is the former handler")
@pytest.mark.parametrize("former", ["none", "dump"])
def test_faults_of_others_are_not_ours(tmp_path: Path, former: str) -> None:
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(OTHERS), str(tmp_path), former], text=True,
                           capture_output=True, check=False)
    assert ended.returncode == -signal.SIGBUS and ("Bus error" in ended.stderr) == (former == "dump")
