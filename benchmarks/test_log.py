"""The log: append, append to visible, group commit, recovery.   pytest benchmarks/test_log.py"""
from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from robustmq._fastpath.stores.log import Log
from tests.shims.store import Visible, append_many

from tests.batches import batch
from tests.logs import ID, MIB


@pytest.fixture(params=["memory", "wal"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path if request.param == "wal" else None, segment_bytes=16 * MIB, journal_bytes=256 * MIB)
    yield log
    log.close()


@pytest.mark.parametrize("size", [100, 1000, 16_000])
def test_append(benchmark: BenchmarkFixture, log: Log, size: int) -> None:
    """One batch of one record of `size` bytes, 1,000 times a round; segments are warm after the first rounds."""
    part = log.create_stream("t", ID, 0, 1)
    one = batch([b"x" * size])
    benchmark.pedantic(append_many, (log, part.stream, one, 1000), rounds=200, warmup_rounds=50)
    benchmark.extra_info["ns_per_append"] = benchmark.stats.stats.median * 1e6
    benchmark.extra_info["mb_per_s"] = len(one) / benchmark.stats.stats.median / 1000


def test_append_to_visible(benchmark: BenchmarkFixture, log: Log) -> None:
    """A thread appends every 5 µs, another one spins on the end offset and finds the entry. What was appended while the
    scheduler had taken the reader's core is counted apart."""
    part = log.create_stream("t", ID, 0, 1)
    visible = Visible(100_000)

    def run() -> None:
        watcher = threading.Thread(target=visible.watch, args=(log, part.stream))
        watcher.start()
        visible.publish(log, part.stream, batch([b"x" * 100]), 5000)
        watcher.join()

    benchmark.pedantic(run, rounds=1)
    found = visible.latencies()
    benchmark.extra_info["stalled"] = visible.stalled
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        benchmark.extra_info[f"{name}_ns"] = found[int(len(found) * share)]


def test_group_commit(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """append, then wait until it is on the disk, one after the other."""
    log = Log(tmp_path, segment_bytes=16 * MIB)
    part = log.create_stream("t", ID)
    one = batch([b"x" * 100])

    async def hundred() -> None:
        for _ in range(100):
            await log.wait_durable(part.append(one)[1])

    with asyncio.Runner() as runner:
        benchmark.pedantic(lambda: runner.run(hundred()), rounds=20, warmup_rounds=2)
    benchmark.extra_info["us_per_commit"] = benchmark.stats.stats.median * 1e4
    log.close()


def test_recovery(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Reopen 256 MiB of batches of 1,000 bytes, every CRC checked, from the page cache."""
    log = Log(tmp_path, segment_bytes=16 * MIB, journal_bytes=512 * MIB)
    part = log.create_stream("t", ID, 0, 1)
    append_many(log, part.stream, batch([b"x" * 1000]), 256 * MIB // 1100)
    log.close()

    def reopen() -> None:
        log = Log(tmp_path, journal_bytes=512 * MIB)
        assert log.recovered["dropped"] == 0
        log.close()

    benchmark.pedantic(reopen, rounds=3)
    benchmark.extra_info["s_per_gib"] = benchmark.stats.stats.median * 4
