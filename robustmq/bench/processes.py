"""Servers as children: on which cores they run, what they cost (from /proc; elsewhere unknown), and that they end."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from robustmq.bench.result import BenchError, Result

STOP_S = 10
TAIL_BYTES = 2000
Cores = frozenset[int]


def own_cores() -> Cores:
    """The cores that this process may run on; empty where the system does not say."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def pin(cores: Cores, pid: int = 0) -> None:
    """Keep a process on some cores; no cores: leave it as it is."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, cores)


def split_cores() -> tuple[Cores, Cores]:
    """(the server's, the client's): one core each; none where there is only one."""
    cores = sorted(own_cores())
    return (frozenset(cores[:1]), frozenset(cores[1:2])) if len(cores) > 1 else (frozenset(), frozenset())


class Child:
    """A server that this run started: pinned, watched, ended by its own pid. A context manager."""

    def __init__(self, command: Sequence[str], cores: Cores = frozenset(), env: Mapping[str, str] | None = None,
                 stdout: int | None = None) -> None:
        self.errors: IO[bytes] = TemporaryFile()            # noqa: SIM115 (closed with the child)
        self.name = " ".join(command[:3])
        self.begun_s = time.monotonic()
        before = own_cores()
        pin(cores)                                          # inherited by all threads that the child will ever have
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout or self.errors,
                                            stderr=self.errors, env={**os.environ, **(env or {})},
                                            start_new_session=True)
        except OSError as error:
            raise BenchError(f"{command[0]} does not start: {error.strerror}") from error
        finally:
            pin(before if cores else frozenset())
        self.spent_s = 0.0

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for who does not listen; what it started itself ends with it."""
        family = tree(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid, started in family.items():
            if pid != self.process.pid and start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.errors.close()

    def kill(self) -> None:
        """SIGKILL: as a crash would end it."""
        self.process.kill()
        self.process.wait()

    def written_bytes(self) -> int:
        """What it has given the file system to write so far (write_bytes of /proc/PID/io); 0 where nobody says."""
        try:
            lines = Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        except OSError:
            return 0
        figures = {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}
        return figures.get("write_bytes", 0) - figures.get("cancelled_write_bytes", 0)

    def wait(self, seconds: float) -> bool:
        """True when it has ended within so long."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def said(self) -> str:
        """The end of what it wrote, for an error message."""
        self.errors.flush()
        size = self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, size - TAIL_BYTES))
        return self.errors.read().decode(errors="replace").strip()

    def cpu_s(self) -> float | None:
        """User and system time of all threads, of its children and theirs."""
        ticks = [cpu_ticks(pid) for pid in tree(self.process.pid)]
        return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None

    def forget_peak(self) -> None:
        """Let peak_bytes count from now on (/proc/PID/clear_refs, 5)."""
        for pid in tree(self.process.pid):
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int | None:
        """The most that it and its children had resident (VmHWM)."""
        peaks = [status_kib(pid, "VmHWM") for pid in tree(self.process.pid)]
        return sum(peaks) * 1024 if peaks else None


Begin = Callable[[], None]      # a load calls it when everybody is connected and what it reads is written


def charged(child: Child, run: Callable[[Begin], Result]) -> Result:
    """The result of `run`, with what it cost the child since `run` called its argument. CPU time is that of the whole
    load, warm-up included, in proportion to the messages that were measured.
    """
    before: float | None = None

    def begin() -> None:
        nonlocal before
        child.forget_peak()
        before = child.cpu_s()

    result = run(begin)
    after = child.cpu_s()
    if before is not None and after is not None and result.total:
        result.cpu_s = (after - before) * result.messages / result.total
    result.peak_bytes = child.peak_bytes()
    return result


def stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from `state` (field 3) on; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_ticks(pid: int) -> int:
    """utime, stime, cutime and cstime (fields 14 to 17): all threads, and children that have ended."""
    fields = stat_fields(pid)
    return sum(int(value) for value in fields[11:15])


def start_time(pid: int) -> str:
    """Field 22, which tells a process from a later one with its number."""
    fields = stat_fields(pid)
    return fields[19] if fields else ""


def status_kib(pid: int, name: str) -> int:
    """A memory figure of /proc/PID/status; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name + ":")), 0)


def tree(pid: int) -> dict[int, str]:
    """A process and its descendants, each with its start time."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = stat_fields(int(entry.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        started = start_time(one)
        if started:
            found[one] = started
            waiting += children.get(one, [])
    return found
