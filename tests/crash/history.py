"""What must be true of a topic's whole log, whatever happened to the broker meanwhile."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition


@dataclass
class Stored:
    """One record of the log."""

    offset: int
    sequence: int


def read_all(port: int, topic: str, *, idle_s: float = 20) -> list[Stored]:
    """Every record of partition 0, from the first offset to the end offset that the broker names now."""
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "history", "enable.auto.commit": False,
                         "auto.offset.reset": "error", "check.crcs": True, "log_level": 0})
    try:
        partition = TopicPartition(topic, 0, OFFSET_BEGINNING)
        low, high = consumer.get_watermark_offsets(partition, timeout=idle_s)
        assert low == 0, f"{topic}: log starts at {low}, nothing should have been retired"
        consumer.assign([partition])
        stored: list[Stored] = []
        while not stored or stored[-1].offset < high - 1:
            missing = high - 1 - (stored[-1].offset if stored else -1)
            batch = consumer.consume(max(1, min(10_000, missing)), timeout=idle_s if high else 1)
            assert batch or high == 0, f"{topic}: no record after {stored[-1].offset if stored else -1}, end is {high}"
            for message in batch:
                assert message.error() is None, f"{topic}: {message.error()}"
                stored.append(Stored(message.offset(), int(message.value().split(b":")[1])))
            if high == 0:
                break
        return stored
    finally:
        consumer.close()


def check(topic: str, stored: list[Stored], acked: set[int], *, exactly_once: bool) -> list[str]:
    """Findings, empty when the history holds."""
    findings = []
    offsets = [record.offset for record in stored]
    if offsets != list(range(len(offsets))):
        gap = next(i for i, offset in enumerate(offsets) if offset != i)
        findings.append(f"{topic}: offsets are not gapless: record {gap} has offset {offsets[gap]}")
    count = Counter(record.sequence for record in stored)
    lost = sorted(acked - count.keys())
    if lost:
        findings.append(f"{topic}: {len(lost)} acknowledged messages are missing, first {lost[:5]}")
    if exactly_once:
        twice = [sequence for sequence, n in count.items() if n > 1]
        if twice:
            findings.append(f"{topic}: {len(twice)} duplicates of an idempotent producer, first {sorted(twice)[:5]}")
    first_seen = list(dict.fromkeys(record.sequence for record in stored))
    if first_seen != sorted(first_seen):
        findings.append(f"{topic}: first occurrences are out of order")
    return findings
