"""What must be true of a topic's log, whatever happened to the broker meanwhile."""
from __future__ import annotations

from collections.abc import Iterable, Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

IDLE_S = 20


class History:
    """Partition 0 of one topic as far as it has been read. Sequences are what one publisher numbered its messages."""

    def __init__(self, topic: str, *, exactly_once: bool) -> None:
        self.topic = topic
        self.exactly_once = exactly_once
        self.next_offset = 0
        self.seen: set[int] = set()
        self.newest = -1                # highest sequence so far
        self.findings: list[str] = []

    def read_on(self, port: int) -> None:
        """Everything from where the last reading ended to the end offset that the broker names now."""
        self.extend(stored(port, self.topic, self.next_offset))

    def extend(self, records: Iterable[tuple[int, int]]) -> None:
        """Take (offset, sequence)s: gapless, in the order of their sequences but for what was sent again."""
        for offset, sequence in records:
            if offset != self.next_offset:
                self.findings.append(f"{self.topic}: offset {offset} follows {self.next_offset - 1}")
            self.next_offset = offset + 1
            if sequence in self.seen:
                if self.exactly_once:
                    self.findings.append(f"{self.topic}: {sequence} is there twice, again at offset {offset}")
                continue
            if sequence < self.newest:
                self.findings.append(f"{self.topic}: {sequence} at offset {offset} comes after {self.newest}")
            self.seen.add(sequence)
            self.newest = max(self.newest, sequence)

    def missing(self, acked: set[int]) -> list[str]:
        """What was promised and is not there."""
        lost = sorted(acked - self.seen)
        return [f"{self.topic}: {len(lost)} acknowledged messages are missing, {lost[0]} to {lost[-1]}"] if lost else []


def stored(port: int, topic: str, offset: int) -> Iterator[tuple[int, int]]:
    """(offset, sequence) of each record of partition 0 from `offset`."""
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "history", "enable.auto.commit": False,
                         "auto.offset.reset": "error", "check.crcs": True, "log_level": 0, "fetch.wait.max.ms": 50})
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=IDLE_S)
        assert low == 0, f"{topic}: the log starts at {low}, nothing should have been retired"
        assert high >= offset, f"{topic}: the log ends at {high}, it was read up to {offset}"
        consumer.assign([TopicPartition(topic, 0, offset or OFFSET_BEGINNING)])
        while offset < high:
            found = consumer.consume(min(10_000, high - offset), timeout=IDLE_S)
            assert found, f"{topic}: no record after {offset - 1}, the end is {high}"
            for message in found:
                assert message.error() is None, f"{topic}: {message.error()} after {offset - 1}"
                value = message.value()
                assert value is not None
                yield message.offset(), int(value.split(b":", 2)[1])
                offset = message.offset() + 1
    finally:
        consumer.close()
