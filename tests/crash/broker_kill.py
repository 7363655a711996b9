"""SIGKILL in the middle of QoS 1 and acks=all load, again and again on one data directory.

    python -m tests.crash.broker_kill --rounds 500

Each round: start the broker, load it from MQTT and idempotent Kafka publishers that live through all rounds, commit
offsets, set retained messages, kill it after a random while; every third round also in the middle of its next start.
Journal segments are small, so that sealing, recycling and the throttling of producers go on all the time.

Every --check-every rounds what is new is read and checked, at the end the whole history: nothing acknowledged is
missing, offsets have no gaps, an idempotent producer's records are there exactly once, in order; committed offsets and
retained messages are the last acknowledged ones. Exit status 1 and a line per finding otherwise; the data is kept then.
"""
from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from tests.crash.broker import Broker
from tests.crash.history import History
from tests.crash.kafka_committer import Committer
from tests.crash.kafka_publisher import Publisher as KafkaPublisher
from tests.crash.librdkafka_publisher import Publisher as LibrdkafkaPublisher
from tests.crash.mqtt_publisher import Publisher as MqttPublisher
from tests.crash.mqtt_publisher import retained_sequences

ALLOWANCE = 3_000               # messages of one publisher in one round: enough to be killed in the middle
BACK_S = 60
NOT_BACK = f"librdkafka heard nothing for {BACK_S} s of a broker that was ready"
RETAINED = 5                    # retained messages that change all the time
SMALL = {"storage.segment_bytes": "1MiB", "storage.journal_bytes": "8MiB", "storage.seal_bytes_per_s": "8MiB",
         "storage.retention_check_interval_ms": "1000", "kafka.message_max_bytes": "256KiB",
         "mqtt.max_packet_size": "128KiB", "kafka.log_retention_ms": "-1"}


class Load:
    """All clients, and what has been read of their topics."""

    def __init__(self, mqtt_port: int, kafka_port: int) -> None:
        self.mqtt = [MqttPublisher(f"m{i}", f"crash/mqtt/{i}", mqtt_port) for i in range(2)]
        self.mqtt.append(MqttPublisher("q", "crash/mqtt/q2", mqtt_port, qos=2))
        self.kafka = [KafkaPublisher(f"k{i}", f"crash.kafka.{i}", kafka_port) for i in range(2)]
        self.librdkafka = LibrdkafkaPublisher("l", "crash.librdkafka", kafka_port)
        self.retained = MqttPublisher("r", "crash/retained", mqtt_port, RETAINED)
        self.committer = Committer(self.kafka[0].topic, kafka_port)
        self.publishers = [*self.mqtt, *self.kafka, self.librdkafka]
        self.threads = [*self.publishers, self.retained, self.committer]
        self.read = {publisher.name: history_of(publisher) for publisher in self.publishers}
        for thread in self.threads:
            thread.start()

    def begin_round(self) -> None:
        """The broker accepts clients."""
        for publisher in [*self.publishers, self.retained]:
            publisher.allowance = ALLOWANCE
        self.resume()

    def resume(self) -> None:
        for thread in [*self.mqtt, *self.kafka, self.retained, self.committer]:
            thread.broker_up.set()

    def librdkafka_is_back(self) -> bool:
        """It takes a second or two to find its broker again, more than a round lasts: now and then it is waited for."""
        self.librdkafka.heard.clear()
        return self.librdkafka.heard.wait(BACK_S)

    def finish(self) -> list[str]:
        """End the load; a broker accepts clients."""
        for thread in self.threads:
            thread.stopping.set()
        self.resume()
        for thread in self.threads:
            thread.join(90)
        return [f"{thread.name} did not get its last acknowledgements" for thread in self.threads if thread.is_alive()]

    @property
    def acked(self) -> int:
        """Acknowledged messages so far."""
        return sum(len(publisher.acked) for publisher in self.publishers)

    def findings(self, broker: Broker, whole: bool) -> list[str]:
        """What is wrong with the histories, `whole` or what is new of them, through a broker that no client knows."""
        found: list[str] = []
        for publisher in self.publishers:
            acked = set(publisher.acked)
            if acked:
                history = history_of(publisher) if whole else self.read[publisher.name]
                history.read_on(broker.kafka)
                found += history.findings[:5] + history.missing(acked)
            found += [f"{publisher.topic}: {error}" for error in publisher.failed[:3]]
        return found + self.committer.findings(broker.kafka) + self.retained_findings(broker.mqtt)

    def retained_findings(self, port: int) -> list[str]:
        """Each topic's retained message must be its last acknowledged one, or one that was sent later."""
        last = {sequence % RETAINED: sequence for sequence in sorted(self.retained.acked)}
        if len(last) < RETAINED:
            return self.retained.failed
        found = retained_sequences(port, self.retained.topic, RETAINED)
        return self.retained.failed + [f"retained message {number}: {found[number]}, acknowledged was {sequence}"
                                       for number, sequence in last.items() if found[number] < sequence]


def history_of(publisher: MqttPublisher | KafkaPublisher | LibrdkafkaPublisher) -> History:
    return History(publisher.topic.replace("/", "."), exactly_once=not isinstance(publisher, MqttPublisher))


def checked(data_dir: Path, settings: dict[str, str], load: Load, *, whole: bool) -> list[str]:
    """Findings of a broker on ports that no publisher knows, and what it said about its start."""
    broker = Broker(data_dir, settings)
    broker.start()
    try:
        found = load.findings(broker, whole)
    except AssertionError as error:
        found = [str(error)]
    if (code := broker.stop(signal.SIGTERM)) != 0:
        found.append(f"SIGTERM: exit {code}")
    return found


def kill_while_starting(broker: Broker, rng: random.Random, ready_s: float) -> None:
    """One or two starts that are killed before, or just when, the broker is ready."""
    for _ in range(rng.choice((1, 1, 2))):
        broker.spawn()
        threading.Event().wait(rng.uniform(0.3, 1.1) * ready_s)
        broker.stop(signal.SIGKILL)


def run(rounds: int, settings: dict[str, str], check_every: int, seed: int, data_dir: Path) -> list[str]:
    """The whole harness; returns the findings."""
    rng = random.Random(seed)
    broker = Broker(data_dir, settings)
    ready_s = broker.start()
    load = Load(broker.mqtt, broker.kafka)
    for number in range(1, rounds + 1):
        load.begin_round()
        if number % 10 == 0 and not load.librdkafka_is_back():
            return [NOT_BACK]
        threading.Event().wait(rng.uniform(0.03, 0.35))
        broker.stop(signal.SIGKILL)
        if number % 3 == 0:
            kill_while_starting(broker, rng, ready_s)
        if number % check_every == 0 and number < rounds and (found := checked(data_dir, settings, load, whole=False)):
            return found
        ready_s = broker.start()
        print(f"round {number}/{rounds}: ready again in {ready_s:.2f} s, {load.acked} acknowledged so far", flush=True)
    found = load.finish()
    if (code := broker.stop(signal.SIGTERM)) != 0:
        found.append(f"SIGTERM: exit {code}")
    found += checked(data_dir, settings, load, whole=True)
    warnings = broker.log.read_text().splitlines()
    return list(dict.fromkeys(found + [f"the broker said: {line}" for line in warnings[:5]]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--durability", choices=["process", "disk"], default="process")
    parser.add_argument("--check-every", type=int, default=10, metavar="N", help="check the history every N rounds")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the moments of death")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the broker, like "
                        "storage.segment_bytes=128MiB for a journal that is never sealed")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}, durability {chosen.durability}")
    settings = {**SMALL, "storage.durability": chosen.durability, **dict(pair.split("=", 1) for pair in chosen.set)}
    directory = Path(tempfile.mkdtemp(prefix="robustmq-crash-"))
    found = run(chosen.rounds, settings, chosen.check_every, chosen.seed, directory / "data")
    for finding in found:
        print(f"FINDING {finding}")
    print(f"{chosen.rounds} rounds, {len(found)} findings{f'; the data is in {directory}' if found else ''}")
    if not found:
        shutil.rmtree(directory)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
