"""Batches of keyed records, and all records of a stream as Python values."""
from __future__ import annotations

import struct

import cramjam
from robustmq._fastpath.crc import crc32c_bytes
from robustmq._fastpath.stores.log import Log

from tests.batches import split, unvarint, varint

NOW = 1_700_000_000_000
Record = tuple[bytes | None, bytes | None]


def keyed(records: list[Record], *, zstd: bool = False, timestamp: int = NOW, producer: int = -1,
          sequence: int = -1) -> bytes:
    body = b""
    for delta, (key, value) in enumerate(records):
        one = b"\0" + varint(0) + varint(delta)
        for part in (key, value):
            one += varint(-1) if part is None else varint(len(part)) + part
        body += varint(len(one) + 1) + one + varint(0)
    if zstd:
        body = bytes(cramjam.zstd.compress(body))
    covered = struct.pack(">hiqqqhii", 4 if zstd else 0, len(records) - 1, timestamp, timestamp, producer,
                          0 if producer >= 0 else -1, sequence, len(records)) + body
    return struct.pack(">qiibI", 0, len(covered) + 9, 0, 2, crc32c_bytes(covered)) + covered


def everything(log: Log, stream: int = 1) -> dict[int, Record]:
    """All records of a stream by offset, from its start on."""
    part, found = log.partition(stream), {}
    start = offset = part.start
    while offset < part.end:
        data = part.read(offset, 1)
        if not data:
            break
        base, last, batch = next(split(data))
        records = bytes(cramjam.zstd.decompress(batch[61:])) if batch[22] & 7 else batch[61:]
        at = 0
        while at < len(records):
            length, at = unvarint(records, at)
            end = at + length
            _, at = unvarint(records, at + 1)
            delta, at = unvarint(records, at)
            parts: list[bytes | None] = []
            for _ in range(2):
                size, at = unvarint(records, at)
                parts.append(None if size < 0 else records[at:at + size])
                at += max(size, 0)
            found[base + delta] = (parts[0], parts[1])
            at = end
        offset = last + 1
    return {at: record for at, record in found.items() if at >= start}
