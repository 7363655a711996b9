"""SIGKILL of a process that appends from four threads: every append that returned is there after the reopen."""
from __future__ import annotations

import random
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from robustmq._fastpath.stores.log import Log

from tests.batches import values
from tests.crash.journal_writer import STREAMS
from tests.logs import settled

KILLS = 20


def check(log: Log, promised: tuple[int, ...]) -> None:
    assert log.recovered["gaps"] == 0 and log.recovered["notes"] == []
    settled(log, 16)
    for name, _, number, stream, *_ in log.streams():
        part = log.partition(stream)
        assert name == "t" and part.end >= promised[number]
        assert part.end <= promised[number] + 1, "more than was being appended"
        found = values(part.read(part.start, 1 << 30))
        assert [offset for offset, _ in found] == list(range(part.start, part.end))
        assert [int(value.rstrip(b".")) for _, value in found] == list(range(part.start, part.end))
        if promised[number]:
            assert int(dict(log.state_items(number))[b"count"]) >= promised[number] - 1


@pytest.mark.parametrize("seed", range(2))
def test_what_was_promised_survives(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    report = tmp_path / "report"
    report.write_bytes(bytes(STREAMS * 8))
    for _ in range(KILLS // 2):
        command = [sys.executable, "-m", "tests.crash.journal_writer", str(tmp_path / "data"), str(report)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(dice.uniform(0.001, 0.25))
        child.kill()
        child.wait()
        child.stdout.close()
        log = Log(tmp_path / "data", journal_bytes=16 << 20)
        try:
            check(log, struct.unpack(f"<{STREAMS}Q", report.read_bytes()))
        finally:
            log.close()
