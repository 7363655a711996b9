"""Requests that the Kafka load sends again and again, encoded once: Produce v7, Fetch v4, and the batch in it."""
from __future__ import annotations

import time
from dataclasses import dataclass
from struct import Struct

from robustmq._fastpath.crc import crc32c_bytes
from robustmq._fastpath.protocols.kafka.frames import encode_request
from robustmq._fastpath.protocols.kafka.messages import FetchRequest, ProduceRequest
from robustmq._fastpath.protocols.kafka.messages.fetch import FetchPartition, FetchTopic
from robustmq._fastpath.protocols.kafka.messages.produce import PartitionProduceData, TopicProduceData

PRODUCE, FETCH = 7, 4
CLIENT = "robustmq-bench"
_HEAD = Struct(">qiibI")
_SEALED = Struct(">hiqqqhii")
_SIZE = Struct(">i")
SEALED_AT = 21                  # where the CRC begins to count
OFFSET_MARK = 0x0123456789ABCDEF


@dataclass(frozen=True)
class Batch:
    """An uncompressed record batch v2 and where its values begin."""

    data: bytes
    values_at: list[int]


def varint(value: int) -> bytes:
    """A zigzag varint."""
    raw = value << 1 ^ value >> 63
    out = bytearray()
    while raw >= 0x80:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    out.append(raw)
    return bytes(out)


def encode_batch(records: int, payload: int) -> Batch:
    """`records` records without key or headers, `payload` bytes each."""
    body = bytearray()
    values_at = []
    for delta in range(records):
        start = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(payload)
        body += varint(len(start) + payload + 1) + start
        values_at.append(SEALED_AT + _SEALED.size + len(body))
        body += b"x" * payload + b"\0"
    now_ms = time.time_ns() // 1_000_000
    sealed = _SEALED.pack(0, records - 1, now_ms, now_ms, -1, -1, -1, records) + body
    length = SEALED_AT + len(sealed) - 12
    return Batch(_HEAD.pack(0, length, -1, 2, crc32c_bytes(sealed)) + sealed, values_at)


def framed(request: bytes) -> bytes:
    """A request behind its size."""
    return _SIZE.pack(len(request)) + request


def encode_produce(topic: str, partition: int, batch: Batch, acks: int) -> tuple[bytes, int, list[int]]:
    """The request, the position of its batch and those of the values."""
    message = ProduceRequest(None, acks, 30_000, [TopicProduceData(topic, partition_data=[
        PartitionProduceData(partition, batch.data)])])
    request = framed(encode_request(message, PRODUCE, 0, CLIENT))
    batch_at = len(request) - len(batch.data)
    return request, batch_at, [batch_at + at for at in batch.values_at]


def encode_fetch(topic: str, partition: int, max_bytes: int, max_wait_ms: int = 500) -> tuple[bytes, int]:
    """The request and the position of its offset."""
    message = FetchRequest(replica_id=-1, max_wait_ms=max_wait_ms, min_bytes=1, max_bytes=max_bytes, topics=[
        FetchTopic(topic, partitions=[FetchPartition(partition, fetch_offset=OFFSET_MARK,
                                                     partition_max_bytes=max_bytes)])])
    request = framed(encode_request(message, FETCH, 0, CLIENT))
    return request, request.index(OFFSET_MARK.to_bytes(8, "big"))
