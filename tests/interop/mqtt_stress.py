"""Thirty clients that do anything MQTT allows, at random, beside a few that rely on the broker.

    python -m tests.interop.mqtt_stress --seeds 0:20 --steps 20000

What they do follows from the seed; when the broker sees it does not. See Stress.check for what must hold afterwards.
"""
from __future__ import annotations

import argparse
import random
import selectors
import struct
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.conftest import Broker, launcher
from tests.crash.mqtt_publisher import utf8
from tests.interop.mqtt_peer import PUBACK, Peer

CLIENTS, IDS = 30, 14                   # fewer identifiers than clients: they take sessions over
KEPT = 300                              # retained messages that nobody changes
WINDOW = 20
PATIENCE_S = 60
PROBES = [f"probe/{number}" for number in range(3)]
FILTERS = ["#", "+/#", "c/+", "c/#", "c/3", "c/+/x", "+/+/x", "kept/#", "kept/7", "probe/#", "r/#", "w/+",
           "/".join("abcdefgh"), "$share/one/c/#", "$share/one/c/3", "$share/two/+/+", "$share/three/probe/#"]
TOPICS = [*(f"c/{number}" for number in range(6)), "c/3/x", "/".join("abcdefgh")]
# Reactors answer all; durable sessions take the way over the control plane; and wait for a disk.
SETTINGS: list[dict[str, str]] = [{"storage__store": "memory"}, {"storage__durability": "process"}, {}]


class Stress:
    """One broker, one seed."""

    def __init__(self, broker: Broker, seed: int) -> None:
        self.broker, self.random = broker, random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.slots: list[Peer | None] = [None] * CLIENTS
        self.published = self.acked = 0
        self.got: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))     # by client and topic
        self.publisher = self.join(Peer(broker.mqtt, "publisher"))
        self.publisher.put(*(self.publisher.publish(f"kept/{number}", b"%d" % number, 1, retain=True)
                             for number in range(KEPT)))
        self.until(lambda: self.acked == KEPT, "the retained messages are stored")
        self.acked = 0
        self.probes = [self.join(Peer(broker.mqtt, name)) for name in ("reader", "member-0", "member-1")]
        for probe, text in zip(self.probes, ["probe/+", *["$share/steady/probe/+"] * 2], strict=True):
            probe.put(probe.subscribe([(text, 1)]))
        self.until(lambda: not any(probe.asked for probe in self.probes), "the probes are subscribed")

    def join(self, peer: Peer) -> Peer:
        if peer.reading and not peer.closed:
            self.selector.register(peer.socket, selectors.EVENT_READ, peer)
        return peer

    def leave(self, peer: Peer, *, reset: bool = False) -> None:
        if peer.socket.fileno() >= 0 and peer.socket in self.selector.get_map():
            self.selector.unregister(peer.socket)
        peer.drop(reset=reset)

    # --- the world moves on ---

    def pump(self, timeout_s: float = 0) -> None:
        """Send what waits, take what came."""
        for key, _ in self.selector.select(timeout_s):
            peer: Peer = key.data
            for first, body in peer.take():
                message = peer.serve(first, body)
                if peer is self.publisher:
                    self.acked += first >> 4 == PUBACK
                elif message is not None and peer in self.probes:
                    self.got[peer.client_id][message[0]].append(int(message[1]))
            if peer.closed:
                self.selector.unregister(key.fileobj)
        for one in [self.publisher, *self.slots]:
            if one is not None:
                one.flush()

    def until(self, done: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < limit, f"never: {what}"
            assert self.broker.process.poll() is None, f"the broker is gone: {self.broker.log.read_text()[-3000:]}"
            self.pump(0.05)

    def probe(self) -> None:
        if self.published - self.acked < WINDOW:
            topic = PROBES[self.published % len(PROBES)]
            self.publisher.put(self.publisher.publish(topic, b"%d" % self.published, 1))
            self.published += 1

    # --- what clients do ---

    def step(self) -> None:
        slot = self.random.randrange(CLIENTS)
        peer = self.slots[slot]
        if peer is None or peer.closed or peer.last_id > 400:
            self.connect(slot, f"id-{self.random.randrange(IDS)}")
        else:
            what = self.random.choices(
                ["talk", "burst", "drop", "bye", "take over", "race", "expel", "look"], [70, 15, 6, 3, 5, 3, 1, 1])[0]
            if what == "talk":
                peer.put(self.request(peer))
            elif what == "burst":
                peer.put(*(self.request(peer) for _ in range(self.random.randrange(2, 9))))
            elif what == "drop":
                self.leave(peer, reset=self.random.random() < 0.5)
            elif what == "bye":
                peer.put(self.request(peer), b"\xe0\0")
                self.leave(peer)
            elif what == "take over":
                peer.put(peer.subscribe(self.filters(peer)))
                self.connect(self.random.randrange(CLIENTS), peer.client_id)
            elif what == "race":
                for _ in range(3):
                    self.connect(self.random.randrange(CLIENTS), peer.client_id)
            elif what == "expel":
                self.expel(peer)
            else:
                self.look()
        self.probe()
        self.pump()

    def connect(self, slot: int, client_id: str) -> None:
        before = self.slots[slot]
        if before is not None:
            self.leave(before, reset=self.random.random() < 0.5)
        r = self.random
        version = r.choice((4, 5))
        will, flags = b"", 0
        if r.random() < 0.3:
            delay = b"\x05\x18" + struct.pack(">I", r.randrange(3)) if version == 5 else b""
            will = delay + utf8(f"w/{r.randrange(4)}") + utf8("gone")
            flags = 4 | r.randrange(3) << 3 | r.randrange(2) << 5
        peer = Peer(self.broker.mqtt, client_id, version=version, clean=r.random() < 0.4,
                    expiry_s=r.choice((0, 0, 1, 3600)), window=r.choice((1, 5, 65_535)), will=will, will_flags=flags,
                    reading=r.random() < 0.85)
        self.slots[slot] = self.join(peer)
        if r.random() < 0.6:
            peer.put(*(self.request(peer) for _ in range(r.randrange(1, 5))))

    def request(self, peer: Peer) -> bytes:
        r = self.random
        kind = r.choices(["subscribe", "unsubscribe", "publish", "retain", "ping"], [35, 20, 30, 10, 5])[0]
        if kind == "subscribe":
            return peer.subscribe(self.filters(peer), r.choice((0, 0, 1, 7, 300)))
        if kind == "unsubscribe":
            return peer.unsubscribe(r.sample(FILTERS, r.randrange(1, 4)))
        if kind == "ping":
            return peer.ping()
        qos = r.randrange(3) if peer.reading else 0
        if kind == "retain":
            return peer.publish(f"r/{r.randrange(20)}", b"" if r.random() < 0.4 else b"kept", qos, retain=True)
        return peer.publish(r.choice(TOPICS), b"." * r.choice((0, 10, 300, 3000)), qos)

    def filters(self, peer: Peer) -> list[tuple[str, int]]:
        """One to four with their options [MQTT-3.8.3.1]; no local is an error on a shared one."""
        found = []
        for text in self.random.sample(FILTERS, self.random.randrange(1, 5)):
            options = self.random.randrange(3)
            if peer.version == 5:
                options |= self.random.choice((0, 8)) | self.random.randrange(3) << 4
                options |= 0 if text.startswith("$") else self.random.choice((0, 4))
            found.append((text, options))
        return found

    def expel(self, peer: Peer) -> None:
        """An administrator ends its session while it says something."""
        peer.put(peer.subscribe(self.filters(peer)))
        try:
            with urllib.request.urlopen(urllib.request.Request(
                    f"{self.broker.http}/api/v1/clients/{peer.client_id}", method="DELETE"), timeout=PATIENCE_S):
                pass
        except urllib.error.HTTPError as error:
            assert error.code == 404, error             # it has ended already

    def look(self) -> None:
        """An administrator looks at everything."""
        for path in ("/metrics", "/api/v1/clients"):
            with urllib.request.urlopen(self.broker.http + path, timeout=PATIENCE_S) as page:
                page.read()

    # --- what must hold ---

    def check(self) -> None:
        """All of it."""
        self.everybody_is_answered()
        self.probes_have_everything()
        self.nothing_is_left()
        self.a_newcomer_is_served()

    def everybody_is_answered(self) -> None:
        """Whoever reads, and has not been disconnected, gets the answers to all that he asked for."""
        readers = [peer for peer in self.slots if peer is not None and peer.reading and not peer.closed]
        for peer in readers:
            peer.put(peer.ping())
        try:
            self.until(lambda: all(peer.closed or not peer.asked for peer in readers), "all are answered, or are gone")
        except AssertionError as error:
            waiting = [(peer.client_id, peer.version, peer.accepted, list(peer.asked)) for peer in readers
                       if peer.asked and not peer.closed]
            raise AssertionError(f"{error}: {waiting}") from None

    def probes_have_everything(self) -> None:
        """Each message once and in order, to a subscriber; to one of the members of a group."""
        self.until(lambda: self.acked == self.published, "the probes are stored")
        sent = {topic: list(range(number, self.published, len(PROBES))) for number, topic in enumerate(PROBES)}

        def count(*names: str) -> int:
            return sum(len(numbers) for name in names for numbers in self.got[name].values())

        self.until(lambda: count("reader") >= self.published and count("member-0", "member-1") >= self.published,
                   "the probes have arrived")
        assert self.got["reader"] == sent
        for topic in PROBES:
            shares = [self.got[name][topic] for name in ("member-0", "member-1")]
            assert sorted(shares[0] + shares[1]) == sent[topic]
            assert all(share == sorted(share) for share in shares)

    def nothing_is_left(self) -> None:
        """Of sessions that have ended."""
        for peer in filter(None, self.slots):
            self.leave(peer)
        for number in range(IDS):
            last = self.join(Peer(self.broker.mqtt, f"id-{number}"))
            self.until(lambda last=last: last.accepted, "the last of a name is accepted")      # type: ignore[misc]
            assert not last.present
            last.put(b"\xe0\0")
            self.leave(last)
        wanted = {"mqtt_sessions": 4, "mqtt_connections": 4, "mqtt_connected": 4, "exchange_subscriptions": 3,
                  "exchange_shared_groups": 1, "mqtt_inflight": 0, "mqtt_queued": 0, "mqtt_awaiting_disk": 0,
                  "control_frames_in_progress": 0, "control_frames_failed_total": 0}
        found: dict[str, float] = {}
        limit = time.monotonic() + PATIENCE_S
        while found != wanted and time.monotonic() < limit:
            self.pump(0.05)
            found = self.metrics(wanted)
        assert found == wanted

    def metrics(self, names: dict[str, int]) -> dict[str, float]:
        """Sums over what a metric is broken down by."""
        found = dict.fromkeys(names, 0.0)
        with urllib.request.urlopen(f"{self.broker.http}/metrics", timeout=PATIENCE_S) as page:
            for line in page.read().decode().splitlines():
                name = line.partition(" ")[0].partition("{")[0].removeprefix("robustmq_")
                if name in found:
                    found[name] += float(line.split()[-1])
        return found

    def a_newcomer_is_served(self) -> None:
        """It gets what is retained, and what is published from now on."""
        newcomer = self.join(Peer(self.broker.mqtt, "newcomer", version=5))
        self.probes.append(newcomer)
        newcomer.put(newcomer.subscribe([("kept/+", 1)]), newcomer.publish("kept/new", b"-1", 1))
        got = self.got["newcomer"]
        self.until(lambda: len(got) > KEPT, "the newcomer has all that is retained, and its own message")
        assert got == {"kept/new": [-1], **{f"kept/{number}": [number] for number in range(KEPT)}}
        self.leave(newcomer)

    def close(self) -> None:
        for peer in [self.publisher, *self.probes, *filter(None, self.slots)]:
            self.leave(peer)
        self.selector.close()


def run(seed: int, steps: int, directory: Path) -> None:
    """One seed against a broker of its own, to its orderly end."""
    with ExitStack() as stack:
        broker = launcher(directory, stack)(
            reactor__threads="3", reactor__pack_connections="0", reactor__high_water_bytes="16KiB",
            mqtt__max_queued="200", log__level="warning", **SETTINGS[seed % len(SETTINGS)])
        stress = Stress(broker, seed)
        stack.callback(stress.close)
        for _ in range(steps):
            stress.step()
        stress.check()
        stress.close()
        status = broker.stop()
        assert status == 0, f"the broker ended with {status}: {broker.log.read_text()[-3000:]}"
        assert "Traceback" not in broker.log.read_text()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", default="0:6", help="FIRST:END")
    options.add_argument("--steps", type=int, default=5000)
    options.add_argument("--seconds", type=float, default=600, help="begin no seed after that")
    arguments = options.parse_args()
    first, _, end = arguments.seeds.partition(":")
    begun = time.monotonic()
    for seed in range(int(first), int(end)):
        if time.monotonic() - begun > arguments.seconds:
            break
        with tempfile.TemporaryDirectory() as directory:
            at = time.monotonic()
            run(seed, arguments.steps, Path(directory))
            print(f"seed {seed}: {arguments.steps} steps, {time.monotonic() - at:.1f} s", flush=True)


if __name__ == "__main__":
    main()
