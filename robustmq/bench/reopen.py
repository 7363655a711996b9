"""A broker with much data: killed, started again with nothing in memory, then read from the beginning beside appends.
"""
from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from robustmq.bench.figures import Figure, How, acknowledged
from robustmq.bench.kafka import Cold, KafkaLoad, non_blocking, preload, run
from robustmq.bench.kafka_load import run_load
from robustmq.bench.kafka_wire import encode_fetch
from robustmq.bench.mqtt import Address
from robustmq.bench.peers import Peer, running
from robustmq.bench.processes import Cores
from robustmq.bench.progress import progress
from robustmq.bench.result import BenchError, Result

GIB = 1 << 30
TOPIC = "stored"
STORED = KafkaLoad(TOPIC, producers=0, consumers=0, partitions=10, payload=1024, batch=16)
STEADY = KafkaLoad("20 MB/s of appends", payload=1024, batch=16, producers=10, rate=20_000)
BRISK = replace(STEADY, name="150 MB/s of appends", rate=150_000)
FLAT_OUT = KafkaLoad("appends as fast as they go", payload=1024, batch=16, producers=10)
ANYWHERE: Cores = frozenset()


def reopen(peer: Peer, how: How) -> Iterator[Figure]:
    """Each size in turn; readers catch up over the largest. The servers have all cores."""
    for gib in how.gib:
        with TemporaryDirectory(prefix="robustmq-bench-", dir=how.data_dir, ignore_cleanup_errors=True) as name:
            stored = replace(STORED, preload=gib * GIB // STORED.payload)
            amplified = store(peer, Path(name), stored)
            forget(Path(name))
            progress.step(f"again with {gib} GiB: {peer.name}")
            with running(peer, ANYWHERE, Path(name)) as (child, listeners):
                ready_s = time.monotonic() - child.begun_s
                check(listeners["kafka"], stored, peer.name)
                yield Figure("Restart after SIGKILL", f"{gib} GiB", peer.name, {
                    "ready s": ready_s, "s/GiB": ready_s / gib, "written/stored": amplified})
                if gib == max(how.gib):
                    yield from catch_up(peer, how, listeners["kafka"], gib)


def store(peer: Peer, directory: Path, stored: KafkaLoad) -> float:
    """Fill it, kill it; bytes written by then for each byte stored."""
    progress.step(f"storing {stored.preload * stored.payload // GIB} GiB: {peer.name}")
    with running(peer, ANYWHERE, directory) as (child, listeners):
        with Cold(listeners["kafka"]) as cold:
            cold.create(TOPIC, stored.partitions)
        preload(stored, listeners["kafka"], TOPIC)
        written = child.written_bytes()
        child.kill()
    return written / (stored.preload * stored.payload)


def forget(directory: Path) -> None:
    """Let nothing of it stay in memory: the start reads from the disk."""
    for path in directory.rglob("*"):
        if path.is_file() and hasattr(os, "posix_fadvise"):
            descriptor = os.open(path, os.O_RDWR)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def check(address: Address, stored: KafkaLoad, target: str) -> None:
    """All that was acknowledged is there."""
    with Cold(address) as cold:
        ends = sum(cold.last_offset(TOPIC, partition)[1] for partition in range(stored.partitions))
    if ends < stored.preload:
        raise BenchError(f"{target} lost {stored.preload - ends:,} of {stored.preload:,} records in the restart")


def catch_up(peer: Peer, how: How, address: Address, gib: int) -> Iterator[Figure]:
    """The same appends alone, and beside readers of all partitions from offset 0 in a process of their own."""
    for load in (STEADY, BRISK, FLAT_OUT):
        progress.step(f"{load.name} alone: {peer.name}")
        yield beside(run(how.timed(load), address, peer.name), None)
        progress.step(f"{load.name} beside readers: {peer.name}")
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            reading = pool.submit(read, address, how.warmup_s + how.seconds)
            result = run(how.timed(load), address, peer.name)
            yield beside(result, reading.result() / 1e6, f" beside readers of {gib} GiB")


def beside(result: Result, read_mb_s: float | None, where: str = " alone") -> Figure:
    """One row."""
    return Figure("Catch-up", result.load + where, result.target, {
        "appended MB/s": result.bytes / result.elapsed_s / 1e6, **acknowledged(result), "read MB/s": read_mb_s})


def read(address: Address, seconds: float) -> float:
    """Bytes of batches a second that one process gets, a connection to each partition, over and over from 0."""
    with ExitStack() as opened, Cold(address) as cold:
        consumers = []
        for partition in range(STORED.partitions):
            request, offset_at = encode_fetch(TOPIC, partition, STORED.fetch_bytes)
            consumers.append((non_blocking(opened, address).fileno(), request, offset_at, 0,
                              cold.last_offset(TOPIC, partition)[1]))
        counts = run_load([], consumers, records=1, window=1, acks=False, rate=0.0, spin=False, stop_after=0,
                          warmup_s=0.0, seconds=seconds)
    if counts["errors"] or counts["corrupt"] or counts["closed"]:
        raise BenchError(f"reading failed: error {counts['error_code']}, {counts['corrupt']} corrupt batches")
    return float(counts["bytes_in"] / counts["elapsed_s"])
