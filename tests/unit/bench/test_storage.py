"""The storage figures: every part runs on this broker, and tables compare the right rows."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from robustmq.bench import reopen, storage
from robustmq.bench.figures import Figure, How, render
from robustmq.bench.peers import RIVAL, robustmq

SHORT = How(frozenset(), None, seconds=1, warmup_s=0.1, gib=[1])      # so long that something comes on any machine
DISK = robustmq("disk", ["storage.segment_bytes=8MiB", "storage.journal_bytes=64MiB"])


def test_appends_and_acknowledgements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(storage, "APPENDS", storage.APPENDS[1:2])
    figures = storage.run_storage([DISK], ["append", "acknowledge"], replace(SHORT, data_dir=tmp_path))
    append, acknowledge = (figure.values for figure in figures)
    assert append["MB/s"] and append["fsyncs/s"] and append["CPU s/GB"]
    assert append["written/stored"] and append["written/stored"] > 1
    assert acknowledge["ack p50 ms"] and acknowledge["ack p99 ms"]


def test_a_restart_finds_all_and_readers_catch_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reopen, "GIB", 4 << 20)
    how = replace(SHORT, data_dir=tmp_path)
    restart, *caught = storage.run_storage([robustmq("memory", []), DISK], ["reopen"], how)
    assert restart.values["ready s"]
    assert [bool(figure.values["read MB/s"]) for figure in caught] == [False, True] * 3
    assert all(figure.values["appended MB/s"] for figure in caught)


def test_rows_of_a_case_stand_together_and_are_held_against_the_rival() -> None:
    targets, cases = (("ours", 500.0), (RIVAL, None)), (("small", 200.0), ("large", 900.0))
    rows = [Figure("Append", case, target, {"MB/s": rate, "fsyncs/s": syncs})
            for target, syncs in targets for case, rate in cases]
    rows[2] = replace(rows[2], values={"MB/s": 50.0, "fsyncs/s": None})
    assert render(rows).splitlines()[2:] == [
        "| small | ours | 200 | 500 | 4.00 |", f"| small | {RIVAL} | 50 |  |  |",
        "| large | ours | 900 | 500 | 1.00 |", f"| large | {RIVAL} | 900 |  |  |"]
