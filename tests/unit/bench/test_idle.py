"""What an idle run says and asks of the system before it connects anybody."""
from __future__ import annotations

import resource

import pytest

from robustmq.bench import progress
from robustmq.bench.idle import PORTS_EACH, allow_files, source_address
from robustmq.bench.progress import Progress
from robustmq.bench.result import BenchError


def test_more_files_than_the_system_has_is_an_error_that_says_so() -> None:
    with pytest.raises(BenchError, match="open files are needed"):
        allow_files(1 << 40)


def test_what_is_allowed_already_stays() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_files(10)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_no_address_runs_out_of_ports() -> None:
    hosts = [source_address(i)[0] for i in range(0, 20_000, 500)]
    assert all(hosts.count(host) * 500 <= PORTS_EACH for host in hosts)


def test_progress_is_lines_where_nobody_can_overwrite_them(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    told = Progress()
    told.step("connecting")
    told.at(1, 2000)
    now += progress.EVERY_S
    told.at(1500, 2000)
    told.at(1501, 2000)
    told.end()
    assert capsys.readouterr().err == "connecting …\nconnecting: 1,500 of 2,000 …\n"
