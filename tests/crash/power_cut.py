"""Power cuts under the load of the kill test (broker_kill.py), and while topics are created.

    python -m tests.crash.power_cut --rounds 200

Each round: load the broker, kill it after a random while, and leave its data directory as a disk that lost power would
leave it: what was not synced is gone, or there by chance (disk.py). What is new of the history is read and checked
after each --check-every rounds, all of it at the end. Exit status 1 and a line per finding; the data is kept then. With
--durability process it must find something: that proves that it sees.
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
from tests.crash.broker_kill import NOT_BACK, SMALL, Load, checked
from tests.crash.disk import Disk
from tests.crash.topic_maker import TopicMaker


class PowerLoad(Load):
    """The clients of the kill test, and one that creates topics."""

    def __init__(self, mqtt_port: int, kafka_port: int) -> None:
        super().__init__(mqtt_port, kafka_port)
        self.maker = TopicMaker(kafka_port)
        self.threads.append(self.maker)
        self.maker.start()

    def resume(self) -> None:
        super().resume()
        self.maker.broker_up.set()

    def findings(self, broker: Broker, whole: bool) -> list[str]:
        return super().findings(broker, whole) + self.maker.findings(broker.kafka)


def run(rounds: int, settings: dict[str, str], check_every: int, seed: int, directory: Path) -> list[str]:
    """The whole harness; returns the findings."""
    dice = random.Random(seed)
    disk = Disk(directory, shadowed=True)
    data_dir = disk.below / "data"
    broker = Broker(data_dir, settings)
    broker.log = directory / "broker.log"
    broker.environment = disk.environment()
    broker.start()
    load = PowerLoad(broker.mqtt, broker.kafka)
    for number in range(1, rounds + 1):
        load.begin_round()
        if number % 10 == 0 and not load.librdkafka_is_back():
            return [NOT_BACK]
        threading.Event().wait(dice.uniform(0.03, 0.5))     # the load runs; nothing is waited for
        broker.stop(signal.SIGKILL)
        disk.cut(dice)
        if number % check_every == 0 and number < rounds and (found := checked(data_dir, settings, load, whole=False)):
            return found
        broker.environment = disk.environment()
        ready_s = broker.start()
        print(f"round {number}/{rounds}: ready again in {ready_s:.2f} s, {load.acked} acknowledged so far", flush=True)
    found = load.finish()
    if (code := broker.stop(signal.SIGTERM)) != 0:
        found.append(f"SIGTERM: exit {code}")
    found += checked(data_dir, settings, load, whole=True)
    return list(dict.fromkeys(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--durability", choices=["process", "disk"], default="disk")
    parser.add_argument("--check-every", type=int, default=5, metavar="N", help="check the history every N rounds")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of moments and of what survives")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}, durability {chosen.durability}")
    directory = Path(tempfile.mkdtemp(prefix="robustmq-power-"))
    settings = {**SMALL, "storage.durability": chosen.durability}
    found = run(chosen.rounds, settings, chosen.check_every, chosen.seed, directory)
    for finding in found:
        print(f"FINDING {finding}")
    print(f"{chosen.rounds} power cuts, {len(found)} findings{f'; the data is in {directory}' if found else ''}")
    if not found:
        shutil.rmtree(directory)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
