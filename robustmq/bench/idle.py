"""A broker that has nothing to do: how soon it is ready, what it holds, what an idle MQTT connection adds."""
from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robustmq.bench.mqtt import Address, connect, greet
from robustmq.bench.net_wait import pause
from robustmq.bench.peers import Peer, started
from robustmq.bench.processes import Child, Cores, status_kib, tree
from robustmq.bench.progress import progress
from robustmq.bench.result import BenchError

SETTLE_S = 1.0
SPARE_FILES = 100
PORTS_EACH = 10_000
LINUX = sys.platform == "linux"         # where all of 127.0.0.0/8 is loopback


@dataclass(frozen=True)
class Idle:
    """One target. `resident` is VmRSS of all its processes; `own` leaves out file mappings, whose pages the kernel may
    take back (RssAnon).
    """

    target: str
    ready_s: float
    resident_bytes: int
    own_bytes: int
    core_share: float                   # of one core, with nobody connected
    clients: int = 0
    client_resident_bytes: float = 0.0  # that one idle connection adds
    client_own_bytes: float = 0.0
    core_share_with_clients: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    def __str__(self) -> str:
        text = (f"{self.target}: ready in {self.ready_s * 1000:.0f} ms, {self.resident_bytes / 2**20:.1f} MiB resident "
                f"({self.own_bytes / 2**20:.1f} its own), {self.core_share:.2%} of a core")
        if self.clients:
            text += (f"\n  {self.clients:,} idle connections: {self.client_resident_bytes:,.0f} bytes resident each "
                     f"({self.client_own_bytes:,.0f} its own), {self.core_share_with_clients:.2%} of a core")
        return text


def memory(child: Child) -> tuple[int, int]:
    """(resident, its own) bytes of a child and its descendants."""
    family = tree(child.process.pid)
    return (sum(status_kib(pid, "VmRSS") for pid in family) * 1024,
            sum(status_kib(pid, "RssAnon") for pid in family) * 1024)


def core_share(child: Child, seconds: float) -> float:
    """Of one core, over so many seconds."""
    before, begun = child.cpu_s(), time.monotonic()
    pause(seconds)
    after = child.cpu_s()
    return (after - before) / (time.monotonic() - begun) if before is not None and after is not None else 0.0


def allow_files(n: int) -> None:
    """Let this process, and what it starts, open so many files; the superuser may go above the hard limit."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= n:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n, hard if hard == resource.RLIM_INFINITY else max(n, hard)))
    except (OSError, ValueError) as error:
        raise BenchError(f"{n:,} open files are needed, {hard:,} are allowed: ulimit -Hn {n} as root, or less --clients"
                         ) from error


def run_idle(peer: Peer, server: Cores, data_dir: Path | None, clients: int, seconds: float) -> Idle:
    """Start it, look, connect everybody, look again."""
    allow_files(clients + SPARE_FILES)
    progress.step(f"{peer.name} alone")
    with started(peer, server, data_dir) as (child, listeners), ExitStack() as opened:
        ready_s = time.monotonic() - child.begun_s
        pause(SETTLE_S)
        alone = memory(child)
        share = core_share(child, seconds)
        if not clients or "mqtt" not in listeners:
            return Idle(peer.name, ready_s, *alone, share)
        progress.step(f"{peer.name} with idle connections")
        connect_all(opened, listeners["mqtt"], clients)
        pause(SETTLE_S)
        crowded = memory(child)
        return Idle(peer.name, ready_s, *alone, share, clients, (crowded[0] - alone[0]) / clients,
                    (crowded[1] - alone[1]) / clients, core_share(child, seconds))


def connect_all(opened: ExitStack, address: Address, clients: int) -> None:
    """Connections that have been greeted and stay silent (keep-alive off)."""
    for i in range(clients):
        source = source_address(i) if LINUX and address[0].startswith("127.") else None
        greet(opened.enter_context(connect(address, source)), f"idle-{os.getpid()}-{i}", 4)
        progress.at(i + 1, clients)


def source_address(i: int) -> Address:
    """Where connection `i` comes from on loopback. One address has some 28,000 ports for one listener, for the second
    half of which Linux searches long; those of the run before may still be in TIME_WAIT.
    """
    pid = os.getpid()
    return f"127.{1 + pid // 254 % 254}.{1 + pid % 254}.{1 + i // PORTS_EACH}", 0


def run_all_idle(peers: Sequence[Peer], server: Cores, data_dir: Path | None, clients: int,
                 seconds: float) -> list[Idle]:
    """Every peer in turn."""
    found = [run_idle(peer, server, data_dir, clients, seconds) for peer in peers]
    progress.end()
    return found
