"""SIGKILL in the middle of QoS 1 and 2 traffic into persistent sessions, again and again on one data directory.

    python -m tests.crash.session_kill --rounds 20

Per QoS one publisher and two subscribers, all with persistent sessions, live through all rounds: pipelined, they resend
after each kill what their side of the protocol calls for. One subscriber is away half of the time. At the end every
acknowledged message must have reached each subscriber, at QoS 2 exactly once; and nothing twice under one identifier.
"""
from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

from tests.crash.broker import Broker
from tests.crash.mqtt_client import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Client

WINDOW = 50
SMALL = {"storage.segment_bytes": "16MiB", "storage.journal_bytes": "64MiB", "mqtt.max_queued": "131072"}


class Life(threading.Thread):
    """A client of one persistent session that comes back whenever the broker does."""

    def __init__(self, name: str, broker: Broker) -> None:
        super().__init__(name=name, daemon=True)
        self.broker = broker
        self.up = threading.Event()
        self.stopping = threading.Event()
        self.lives = 0
        self.findings: list[str] = []

    def run(self) -> None:
        while not self.stopping.is_set():
            self.up.wait()
            with contextlib.suppress(OSError):
                client = Client(self.broker.mqtt, self.name)
                if client.present != (self.lives > 0):
                    self.findings.append(f"{self.name}: session present is {client.present} in life {self.lives}")
                self.lives += 1
                self.live(client)
                client.leave()
            if not self.stopping.is_set():
                self.up.clear()

    def live(self, client: Client) -> None:
        raise NotImplementedError


class Publisher(Life):
    """QoS 1 or 2 with a window; DUP after a kill, PUBREL where PUBREC had come."""

    def __init__(self, qos: int, broker: Broker) -> None:
        super().__init__(f"publisher-{qos}", broker)
        self.qos = qos
        self.sequence = 0
        self.allowance = 0
        self.open: OrderedDict[int, int] = OrderedDict()    # identifier -> sequence
        self.released: set[int] = set()
        self.acked: set[int] = set()

    def live(self, client: Client) -> None:
        for id, sequence in self.open.items():
            if id in self.released:
                client.ack(PUBREL, id)
            else:
                client.publish(f"load/{self.qos}", b"%d" % sequence, self.qos, id, dup=True)
        while not self.stopping.is_set() or self.open:
            while len(self.open) < WINDOW and self.allowance > 0 and not self.stopping.is_set():
                id = self.sequence % 65535 + 1
                self.open[id] = self.sequence
                self.allowance -= 1
                client.publish(f"load/{self.qos}", b"%d" % self.sequence, self.qos, id)
                self.sequence += 1
            if not self.open:
                if self.stopping.wait(0.05):
                    return
                continue
            self.take(client)

    def take(self, client: Client) -> None:
        first, body = client.read()
        id = int.from_bytes(body[:2], "big")
        if first >> 4 == PUBREC:
            self.acked.add(self.open[id])
            self.released.add(id)
            client.ack(PUBREL, id)
        else:
            sequence = self.open.pop(id, None)
            self.released.discard(id)
            if first >> 4 == PUBACK and sequence is not None:
                self.acked.add(sequence)


class Subscriber(Life):
    """Method A of 4.3.3: a message counts when it comes under an identifier that is not open."""

    def __init__(self, name: str, qos: int, broker: Broker, rng: random.Random, *, lazy: bool) -> None:
        super().__init__(name, broker)
        self.qos, self.rng, self.lazy = qos, rng, lazy
        self.open: dict[int, bytes] = {}
        self.got: list[int] = []
        self.finished = threading.Event()

    def live(self, client: Client) -> None:
        if self.lives == 1:
            client.subscribe(f"load/{self.qos}", self.qos)
        stop_after = self.rng.randrange(2000) if self.lazy else 1 << 30
        while not self.stopping.is_set() and (stop_after > 0 or self.finished.is_set()):
            try:
                first, body = client.read(0.5)
            except TimeoutError:
                if self.finished.is_set():
                    self.stopping.set()
                continue
            stop_after -= 1
            if first >> 4 == PUBLISH:
                self.take(client, first, body)
            elif first >> 4 == PUBREL:
                id = int.from_bytes(body[:2], "big")
                self.open.pop(id, None)
                client.ack(PUBCOMP, id)

    def take(self, client: Client, first: int, body: bytes) -> None:
        message = client.decode(first, body)
        if message.qos == 1:
            self.got.append(int(message.payload))
            client.ack(PUBACK, message.id)
            return
        if message.id not in self.open:
            self.open[message.id] = message.payload
            self.got.append(int(message.payload))
        elif self.open[message.id] != message.payload:
            self.findings.append(f"{self.name}: {message} under the identifier of {self.open[message.id]!r}")
        client.ack(PUBREC, message.id)


def check(publisher: Publisher, subscriber: Subscriber) -> list[str]:
    """What the subscriber should have and has not, or has twice."""
    found = list(subscriber.findings)
    missing = publisher.acked - set(subscriber.got)
    if missing:
        found.append(f"{subscriber.name}: {len(missing)} of {len(publisher.acked)} acknowledged messages are missing, "
                     f"the first is {min(missing)}")
    if subscriber.qos == 2 and len(set(subscriber.got)) != len(subscriber.got):
        twice = len(subscriber.got) - len(set(subscriber.got))
        found.append(f"{subscriber.name}: {twice} messages came twice")
    first = list(dict.fromkeys(subscriber.got))
    if subscriber.qos == 2 and first != sorted(first):
        found.append(f"{subscriber.name}: the order is not the publisher's")
    return found


def run(rounds: int, durability: str, seed: int) -> list[str]:
    """The whole harness; returns the findings."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="robustmq-sessions-") as data_dir:
        broker = Broker(Path(data_dir) / "data", SMALL | {"storage.durability": durability})
        broker.start()
        publishers = [Publisher(qos, broker) for qos in (1, 2)]
        pairs = [(one, Subscriber(f"{kind}-{one.qos}", one.qos, broker, rng, lazy=kind == "lazy"))
                 for one in publishers for kind in ("keen", "lazy")]
        subscribers = [subscriber for _, subscriber in pairs]
        for subscriber in subscribers:
            subscriber.up.set()
            subscriber.start()
        while any(subscriber.lives == 0 for subscriber in subscribers):
            threading.Event().wait(0.02)
        threading.Event().wait(0.2)                             # every SUBACK has come
        for publisher in publishers:
            publisher.start()
        for number in range(1, rounds + 1):
            for publisher in publishers:
                publisher.allowance = 5000
            for one in [*publishers, *subscribers]:
                one.up.set()
            threading.Event().wait(rng.uniform(0.1, 0.7))       # the load runs; nothing is waited for
            broker.stop(signal.SIGKILL)
            seconds = broker.start()
            print(f"round {number}/{rounds}: ready again in {seconds:.2f} s, "
                  f"{[len(one.acked) for one in publishers]} acknowledged", flush=True)
        found = finish(publishers, subscribers)
        for publisher, subscriber in pairs:
            found += check(publisher, subscriber)
        if (code := broker.stop(signal.SIGTERM)) != 0:
            found.append(f"SIGTERM: exit {code}")
    return found


def finish(publishers: list[Publisher], subscribers: list[Subscriber]) -> list[str]:
    """No more kills: what is open gets its end, what waits is taken."""
    found: list[str] = []
    for publisher in publishers:
        publisher.stopping.set()
        publisher.up.set()
        publisher.join(30)
        found += publisher.findings
        if publisher.is_alive():
            found.append(f"{publisher.name} did not get its last acknowledgements")
    for subscriber in subscribers:
        subscriber.finished.set()
        subscriber.up.set()
    for subscriber in subscribers:
        subscriber.join(60)
        if subscriber.is_alive():
            found.append(f"{subscriber.name} never fell silent")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--durability", choices=["process", "disk"], default="process")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the moments of death")
    options = parser.parse_args()
    print(f"seed {options.seed}, durability {options.durability}")
    found = run(options.rounds, options.durability, options.seed)
    for finding in found:
        print(f"FINDING {finding}")
    print(f"{options.rounds} kills, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
