"""What a broker's log can do, beside Apache Kafka's: appends at each durability, acknowledgements at a moderate rate;
restarts and readers that catch up are in reopen.py. All through the Kafka listeners.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.request import urlopen

from robustmq.bench.figures import Figure, How, acknowledged
from robustmq.bench.kafka import KafkaLoad, run
from robustmq.bench.mqtt import Address
from robustmq.bench.peers import Peer, started
from robustmq.bench.processes import charged
from robustmq.bench.progress import progress
from robustmq.bench.reopen import reopen
from robustmq.bench.result import BenchError

ANSWER_S = 10
SYNCS = "robustmq_journal_wal_syncs_total"
APPENDS = [KafkaLoad(f"{size}, {partitions:,} partition{'s' * (partitions > 1)}", producers=10, partitions=partitions,
                     payload=payload, batch=batch)
           for size, payload, batch in (("100 B", 100, 160), ("1 KiB", 1024, 16)) for partitions in (1, 10, 1000)]
ACKNOWLEDGED = KafkaLoad("1,000 msg/s", batch=1, rate=1000, spin=True)


def append(peer: Peer, how: How) -> Iterator[Figure]:
    """Ten producers as fast as it goes; each load on a broker of its own."""
    for load in APPENDS:
        progress.step(f"append {load.name}: {peer.name}")
        with started(peer, how.cores, how.data_dir) as (child, listeners):
            synced, written = syncs(listeners), child.written_bytes()
            result = charged(child, lambda begin, load=load, at=listeners["kafka"]:     # type: ignore[misc]
                             run(how.timed(load), at, peer.name, begin))
            if not result.messages or any(result.errors.values()):
                raise BenchError(f"{peer.name}: {load.name} failed: {result.errors}")
            whole_s = result.elapsed_s * result.total / result.messages
            yield Figure("Append", load.name, peer.name, {
                "MB/s": result.bytes / result.elapsed_s / 1e6, "records/s": result.rate, **acknowledged(result),
                "CPU s/GB": result.cpu_s_per_gb,
                "written/stored": (child.written_bytes() - written) / (result.total * load.payload),
                "fsyncs/s": None if synced is None else ((syncs(listeners) or 0.0) - synced) / whole_s})


def acknowledge(peer: Peer, how: How) -> Iterator[Figure]:
    """One record a request at 1,000 a second."""
    progress.step(f"acknowledgements: {peer.name}")
    with started(peer, how.cores, how.data_dir) as (_, listeners):
        result = run(how.timed(ACKNOWLEDGED), listeners["kafka"], peer.name)
        yield Figure("Acknowledgement", ACKNOWLEDGED.name, peer.name,
                     {**acknowledged(result), "records/s": result.rate})


def syncs(listeners: Mapping[str, Address]) -> float | None:
    """Syncs of the journal so far; None of a broker that does not count them."""
    if "http" not in listeners:
        return None
    host, port = listeners["http"]
    with urlopen(f"http://{host}:{port}/metrics", timeout=ANSWER_S) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith(SYNCS + " "))


PARTS: dict[str, Callable[[Peer, How], Iterator[Figure]]] = {
    "append": append, "acknowledge": acknowledge, "reopen": reopen}


def run_storage(peers: Sequence[Peer], parts: Sequence[str], how: How) -> Iterator[Figure]:
    """Each part on each peer in turn; a peer that keeps nothing is not opened again."""
    for part in parts:
        for peer in peers:
            if "kafka" in peer.protocols and (peer.keeps or part != "reopen"):
                yield from PARTS[part](peer, how)
    progress.end()
