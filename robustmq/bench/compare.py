"""The same loads on this broker, on every peer that is installed and on the kernel alone, in turn, in one run."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from robustmq.bench.ceiling import run_echo, run_relay
from robustmq.bench.kafka import KafkaLoad
from robustmq.bench.kafka import run as run_kafka
from robustmq.bench.mqtt import MqttLoad
from robustmq.bench.mqtt import run as run_mqtt
from robustmq.bench.peers import Peer, started
from robustmq.bench.processes import Begin, Cores, charged
from robustmq.bench.progress import progress
from robustmq.bench.result import BenchError, Result

ECHO, RELAY = "echo", "relay"


@dataclass(frozen=True)
class Contest:
    """One load, and the ceiling that it is held against."""

    load: MqttLoad | KafkaLoad
    ceiling: str = ""

    @property
    def protocol(self) -> str:
        """Who can take part."""
        return "mqtt" if isinstance(self.load, MqttLoad) else "kafka"


CONTESTS = (
    Contest(MqttLoad("MQTT QoS 0, 1→1, 50 a write", batch=50, window=5000), RELAY),
    Contest(MqttLoad("MQTT QoS 0, 10→10, 5 a write", publishers=10, subscribers=10, topics=10, batch=5, window=500),
            RELAY),
    Contest(MqttLoad("MQTT QoS 0, fan-out 1→50", subscribers=50, batch=10, window=100), RELAY),
    Contest(MqttLoad("MQTT QoS 1, 1→1, window 1000", qos=1, batch=50, window=1000)),
    Contest(MqttLoad("MQTT QoS 0, 1→1, 1,000 msg/s", rate=1000, spin=True), ECHO),
    Contest(KafkaLoad("Kafka produce, 100 B, 17 KiB batches, acks=all")),
    Contest(KafkaLoad("Kafka consume from offset 0", producers=0, consumers=1, preload=2_000_000)),
    Contest(KafkaLoad("Kafka producer to consumer at the tail", consumers=1)),
    Contest(KafkaLoad("Kafka producer to consumer, 1,000 msg/s", consumers=1, batch=1, rate=1000, spin=True)),
)


@dataclass(frozen=True)
class Failure:
    """A target that did not get through a load."""

    load: str
    target: str
    reason: str


Outcome = Result | Failure


def chosen(words: Sequence[str], seconds: float, warmup_s: float) -> list[Contest]:
    """The contests whose name contains one of the words (all, when there is none)."""
    found = [contest for contest in CONTESTS
             if not words or any(word.lower() in contest.load.name.lower() for word in words)]
    if not found:
        raise BenchError("no such load; there are: " + "; ".join(contest.load.name for contest in CONTESTS))
    return [replace(contest, load=replace(contest.load, seconds=seconds, warmup_s=warmup_s)) for contest in found]


def run_all(contests: Sequence[Contest], peers: Sequence[Peer], server: Cores, data_dir: Path | None,
            rounds: int) -> list[Outcome]:
    """Every contest on every target, `rounds` times; of each the median by rate."""
    taken: dict[tuple[str, str], list[Outcome]] = {}
    for _ in range(rounds):
        for peer in peers:
            for outcome in run_peer(contests, peer, server, data_dir):
                taken.setdefault((outcome.load, outcome.target), []).append(outcome)
        for contest in contests:
            if contest.ceiling:
                outcome = run_ceiling(contest, server)
                taken.setdefault((outcome.load, outcome.target), []).append(outcome)
    progress.end()
    order = [contest.load.name for contest in contests]
    return sorted((median(outcomes) for outcomes in taken.values()), key=lambda outcome: order.index(outcome.load))


def median(outcomes: Sequence[Outcome]) -> Outcome:
    """The middle result; a failure only where nothing succeeded."""
    results = sorted((o for o in outcomes if isinstance(o, Result)), key=lambda result: result.rate)
    return results[len(results) // 2] if results else outcomes[0]


def run_peer(contests: Sequence[Contest], peer: Peer, server: Cores, data_dir: Path | None) -> list[Outcome]:
    """All that a peer can do, on one process of it; started again after a failure."""
    wanted = [contest for contest in contests if contest.protocol in peer.protocols]
    outcomes: list[Outcome] = []
    while wanted:
        try:
            with ExitStack() as stack:
                child, listeners = stack.enter_context(started(peer, server, data_dir))
                while wanted:
                    load = wanted[0].load
                    progress.step(f"{load.name} on {peer.name}")
                    run = runner(load, listeners[wanted[0].protocol], peer.name)
                    outcomes.append(charged(child, run))
                    wanted.pop(0)
        except (BenchError, OSError, KeyError) as error:
            if wanted:
                outcomes.append(Failure(wanted.pop(0).load.name, peer.name, str(error) or type(error).__name__))
    return outcomes


def runner(load: MqttLoad | KafkaLoad, address: tuple[str, int], target: str) -> Callable[[Begin], Result]:
    """One load on one address, to be called."""
    if isinstance(load, MqttLoad):
        return lambda begin: run_mqtt(load, address, target, begin)
    return lambda begin: run_kafka(load, address, target, begin)


def run_ceiling(contest: Contest, server: Cores) -> Outcome:
    """The kernel's own measure for a contest."""
    assert isinstance(contest.load, MqttLoad)
    name = contest.load.name
    progress.step(f"{name} on the {contest.ceiling}")
    try:
        result = run_echo(contest.load, server) if contest.ceiling == ECHO else run_relay(contest.load, server)
    except (BenchError, OSError) as error:
        return Failure(name, contest.ceiling, str(error))
    return replace(result, load=name)
