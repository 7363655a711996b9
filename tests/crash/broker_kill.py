"""SIGKILL in the middle of QoS 1 and acks=all load, again and again on one data directory.

    python -m tests.crash.broker_kill --rounds 50

Each round: start the broker, load it from two MQTT and two idempotent Kafka producers that live through all rounds,
kill it after a random while. Every --check-every rounds, and at the end, the whole history is read and checked: nothing
acknowledged is missing, offsets have no gaps, an idempotent producer's records are there exactly once, in order. Exit
status 1 and a line per finding otherwise.
"""
from __future__ import annotations

import argparse
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from tests.crash import history, kafka_publisher, mqtt_publisher

ALLOWANCE = 10_000              # messages of one publisher in one round: enough to be killed in the middle


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """robustmq-server as a child on fixed ports, so that clients find it again."""

    def __init__(self, data_dir: str, durability: str) -> None:
        self.mqtt, self.kafka = free_port(), free_port()
        self.command = [
            sys.executable, "-m", "robustmq.server", "--data-dir", data_dir,
            "--set", f"mqtt.listen=127.0.0.1:{self.mqtt}", "--set", f"kafka.listen=127.0.0.1:{self.kafka}",
            "--set", "mqtt.ws_listen=", "--set", "http.listen=", "--set", f"storage.durability={durability}",
            "--set", "storage.segment_bytes=16MiB", "--set", "log.level=error",
        ]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> float:
        """Start and wait for the ready line; returns the seconds that took."""
        begin = time.monotonic()
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("robustmq ready"):
            raise AssertionError(f"the broker did not start: {line!r}, exit {self.process.wait()}")
        return time.monotonic() - begin

    def stop(self, how: signal.Signals) -> int:
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(how)
        self.process.stdout.close()
        return self.process.wait(30)


Publishers = list[mqtt_publisher.Publisher | kafka_publisher.Publisher]


def findings_of(data_dir: str, durability: str, publishers: Publishers) -> list[str]:
    """Read and check the history of every publisher's topic, through a broker on ports that no publisher knows."""
    found: list[str] = []
    broker = Broker(data_dir, durability)
    broker.start()
    for publisher in publishers:
        kafka = isinstance(publisher, kafka_publisher.Publisher)
        acked = set(publisher.acked)
        if acked:
            stored = history.read_all(broker.kafka, publisher.topic.replace("/", "."))
            found += history.check(publisher.topic, stored, acked, exactly_once=kafka)
        if kafka:
            found += [f"{publisher.topic}: delivery failed: {error}" for error in publisher.failed[:3]]
    if (code := broker.stop(signal.SIGTERM)) != 0:
        found.append(f"SIGTERM: exit {code}")
    return found


def run(rounds: int, durability: str, check_every: int, seed: int) -> list[str]:
    """The whole harness; returns the findings."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="robustmq-crash-") as data_dir:
        broker = Broker(data_dir, durability)
        broker.start()
        mqtt = [mqtt_publisher.Publisher(f"m{i}", f"crash/mqtt/{i}", broker.mqtt) for i in range(2)]
        kafka = [kafka_publisher.Publisher(f"k{i}", f"crash.kafka.{i}", broker.kafka) for i in range(2)]
        publishers: Publishers = [*mqtt, *kafka]
        for publisher in publishers:
            publisher.start()
        found: list[str] = []
        for number in range(1, rounds + 1):
            for publisher in publishers:
                publisher.allowance = ALLOWANCE
            for publisher in mqtt:
                publisher.broker_up.set()
            threading.Event().wait(rng.uniform(0.15, 0.9))      # the load runs; nothing is waited for
            broker.stop(signal.SIGKILL)
            if number % check_every == 0 and number < rounds:
                found += findings_of(data_dir, durability, publishers)
            seconds = broker.start()
            acked = sum(len(publisher.acked) for publisher in publishers)
            print(f"round {number}/{rounds}: ready again in {seconds:.2f} s, {acked} acknowledged so far", flush=True)
            if found:
                break
        for publisher in mqtt:
            publisher.broker_up.set()
        for publisher in publishers:
            publisher.stopping.set()
        for publisher in publishers:
            publisher.join(90)
            if publisher.is_alive():
                found.append(f"{publisher.name} did not get its last acknowledgements")
        if (code := broker.stop(signal.SIGTERM)) != 0:
            found.append(f"SIGTERM: exit {code}")
        found += findings_of(data_dir, durability, publishers)
        return list(dict.fromkeys(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--durability", choices=["process", "disk"], default="process")
    parser.add_argument("--check-every", type=int, default=10, metavar="N", help="check the history every N rounds")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the moments of death")
    options = parser.parse_args()
    print(f"seed {options.seed}, durability {options.durability}")
    found = run(options.rounds, options.durability, options.check_every, options.seed)
    for finding in found:
        print(f"FINDING {finding}")
    print(f"{options.rounds} kills, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
