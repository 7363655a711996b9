"""A blob store that is away while a tiered topic is written: appends go on, and everything is there afterwards.

    before   records are written, uploaded, and leave the local disk
    away     the store refuses connections; records are written at the same rate, each acknowledged soon; consumers of
             what is here go on; /health/ready says "degraded"
    after    what was written meanwhile is uploaded and leaves the disk; every record is read back, once, in order

    python -m tests.crash.blob_outage --seconds 600
"""
from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.blobs import BUCKET, S3Server
from tests.crash.broker import Broker, free_port
from tests.interop.kit import metric, reaches

TOPIC = "tiered"
RELEASES = "robustmq_tier_releases_total"
SIZE = 10_000                       # bytes of a record
EACH_S = 0.01                       # a record, so a megabyte in a second
SOON_S = 2.0                        # an acknowledgement
PATIENCE_S = 120.0                  # until what was waiting has been uploaded: tiering tries each minute at least
SMALL = {"storage.segment_bytes": "1MiB", "storage.journal_bytes": "8MiB", "kafka.message_max_bytes": "200000",
         "mqtt.max_packet_size": "200000", "tier.interval_ms": "200", "tier.cache_bytes": "4MiB",
         "tier.timeout_ms": "1000", "log.level": "error"}


class Outage:
    """One broker, one store, one producer."""

    def __init__(self, data_dir: Path) -> None:
        self.store = S3Server()
        http = f"127.0.0.1:{free_port()}"
        self.http = f"http://{http}"
        self.broker = Broker(data_dir, {**SMALL, "http.listen": http,
                                        "tier.url": f"s3://{BUCKET}/a?endpoint={self.store.endpoint}"})
        self.broker.start()
        servers = {"bootstrap.servers": f"127.0.0.1:{self.broker.kafka}"}
        config = {"remote.storage.enable": "true", "local.retention.ms": "0"}
        admin = AdminClient(servers)
        admin.create_topics([NewTopic(TOPIC, 1, 1, config=config)])[TOPIC].result(10)
        self.producer = Producer({**servers, "acks": "all", "linger.ms": 0})
        self.consumer = Consumer({**servers, "group.id": "g", "enable.auto.commit": False, "check.crcs": True})
        self.sent = self.acked = 0
        self.slowest_s = 0.0
        self.findings: list[str] = []

    def write_for(self, seconds: float) -> None:
        """At the rate, waiting for nobody."""
        end = time.monotonic() + seconds
        due = time.monotonic()
        while due < end:
            begun = time.monotonic()
            self.producer.produce(TOPIC, b"%d." % self.sent + b"x" * SIZE, partition=0,
                                  on_delivery=lambda error, _, begun=begun: self.on_delivery(error, begun))
            self.sent += 1
            due += EACH_S
            while (left := due - time.monotonic()) > 0:
                self.producer.poll(left)            # returns early when something was acknowledged

    def on_delivery(self, error: object, begun: float) -> None:
        if error is not None:
            self.findings.append(f"a record was refused: {error}")
            return
        self.acked += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun)

    def degraded(self) -> bool:
        """What /health/ready says."""
        with urllib.request.urlopen(f"{self.http}/health/ready", timeout=10) as answer:
            return "degraded" in json.loads(answer.read())

    def released(self, what: str, runs: float) -> None:
        """Until so many runs have left the disk."""
        if not reaches(self.http, RELEASES, runs, PATIENCE_S):
            self.findings.append(f"{what}: nothing leaves the disk")

    def read(self, first: int, end: int) -> None:
        """Records [first, end), each once and in order."""
        self.consumer.assign([TopicPartition(TOPIC, 0, first)])
        while first < end:
            found: list[Message] = self.consumer.consume(100, 60)
            if not found:
                self.findings.append(f"nothing is read from offset {first} on")
                return
            for message in found[:end - first]:
                value = message.value() or b""
                if message.error() or message.offset() != first or not value.startswith(b"%d." % first):
                    self.findings.append(f"at offset {first}: {message.error()} {message.offset()} {value!r:.40}")
                    return
                first += 1

    def play(self, seconds: float) -> list[str]:
        """What must not be."""
        self.write_for(8)
        self.released("before", 1)
        self.store.down()
        gone = self.sent
        self.write_for(seconds)
        if not self.degraded():
            self.findings.append("while the store is away /health/ready does not say so")
        self.producer.flush(10)
        self.read(gone, self.sent)                  # all of it is here
        self.store.up()
        runs = metric(self.http, RELEASES)
        self.released("afterwards", runs + max(1, (self.sent - gone) * SIZE // (2 << 20)))
        self.write_for(1)
        if self.producer.flush(10) or self.acked < self.sent:
            self.findings.append(f"{self.sent - self.acked} records were not acknowledged")
        if self.slowest_s > SOON_S:
            self.findings.append(f"an acknowledgement took {self.slowest_s:.1f} s")
        self.read(0, self.sent)
        return self.findings

    def close(self) -> None:
        self.consumer.close()
        if (code := self.broker.stop(signal.SIGTERM)) != 0:
            self.findings.append(f"SIGTERM: exit {code}")
        self.store.down()


def run(data_dir: Path, seconds: float) -> list[str]:
    """The findings."""
    outage = Outage(data_dir)
    try:
        outage.play(seconds)
    finally:
        outage.close()
    print(f"{outage.acked} records acknowledged, the slowest in {outage.slowest_s * 1000:.0f} ms")
    return outage.findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long the store is away (default 600)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="robustmq-outage-") as name:
        found = run(Path(name) / "data", chosen.seconds)
    for finding in found:
        print(f"FINDING {finding}")
    print(f"away for {chosen.seconds:.0f} s, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
