"""Very many topics with a few messages each: how soon they are written, what they hold in memory and on disk, how soon
they are there again after a SIGKILL.
"""
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from robustmq.bench.idle import memory
from robustmq.bench.mqtt import MqttLoad
from robustmq.bench.mqtt import run as run_mqtt
from robustmq.bench.peers import Peer, running
from robustmq.bench.processes import Cores
from robustmq.bench.progress import progress
from robustmq.bench.result import BenchError

PUBLISHERS = 4
MOST_S = 900.0                      # a run that takes longer has failed


@dataclass(frozen=True)
class Many:
    """One target; bytes are those of all topics together. `own` is without file mappings, whose pages the kernel may
    take back (RssAnon).
    """

    target: str
    topics: int
    messages: int                   # of each topic
    payload: int
    elapsed_s: float                # until the last acknowledgement
    resident_bytes: int             # beyond those of the empty broker
    own_bytes: int
    files: int
    disk_bytes: int
    written_bytes: int              # given to the file system by then
    ready_s: float                  # over all of them, after SIGKILL
    again_own_bytes: int            # then

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)

    def __str__(self) -> str:
        stored = self.topics * self.messages * self.payload
        return (f"{self.target}: {self.topics:,} topics with {self.messages} messages of {self.payload} bytes in "
                f"{self.elapsed_s:.1f} s ({self.topics * self.messages / self.elapsed_s:,.0f} msg/s)\n"
                f"  memory    {self.own_bytes / self.topics:,.0f} bytes of its own a topic "
                f"({self.resident_bytes / self.topics:,.0f} with file mappings)\n"
                f"  disk      {self.files:,} files, {self.disk_bytes / 2**20:,.0f} MiB; "
                f"{self.written_bytes / stored:.1f} bytes written for a byte of payload\n"
                f"  restart   ready {self.ready_s:.2f} s after a SIGKILL, then "
                f"{self.again_own_bytes / self.topics:,.0f} bytes of its own a topic")


def run_topics(peer: Peer, server: Cores, data_dir: Path | None, topics: int, messages: int) -> Many:
    """Write them all, kill, start again."""
    with TemporaryDirectory(prefix="robustmq-bench-", dir=data_dir, ignore_cleanup_errors=True) as name:
        directory = Path(name)
        progress.step(f"{peer.name}: {topics:,} topics")
        load = MqttLoad("topics", publishers=PUBLISHERS, subscribers=0, topics=topics, qos=1, batch=50,
                        each=-(-topics // PUBLISHERS) * messages, seconds=MOST_S, warmup_s=0, prefix="building/floor-1")
        with running(peer, server, directory) as (child, listeners):
            before = memory(child)
            result = run_mqtt(load, listeners["mqtt"], peer.name)
            if result.total < topics * messages or any(result.errors.values()):
                raise BenchError(f"{peer.name} acknowledged {result.total:,} of {topics * messages:,} messages: "
                                 f"{result.errors}")
            resident, own = (after - empty for after, empty in zip(memory(child), before, strict=True))
            written = child.written_bytes()
            child.kill()
        sizes = [found.stat() for found in directory.rglob("*") if found.is_file()]
        progress.step(f"{peer.name}: again")
        with running(peer, frozenset(), directory) as (child, _):       # all cores: there is no load beside it
            ready_s = time.monotonic() - child.begun_s
            again = memory(child)[1] - before[1]
        return Many(peer.name, topics, messages, load.payload, result.elapsed_s, resident, own, len(sizes),
                    sum(stat.st_blocks * 512 for stat in sizes), written, ready_s, again)


def run_all_topics(peers: Sequence[Peer], server: Cores, data_dir: Path | None, topics: int,
                   messages: int) -> list[Many]:
    """Every peer that speaks MQTT in turn."""
    found = [run_topics(peer, server, data_dir, topics, messages) for peer in peers if "mqtt" in peer.protocols]
    progress.end()
    return found
