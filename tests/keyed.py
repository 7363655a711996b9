"""Batches of keyed records, and all records of a stream as Python values."""
from __future__ import annotations

import gzip
import struct

import cramjam
from robustmq._fastpath.crc import crc32c_bytes
from robustmq._fastpath.stores.log import Log

from tests.batches import split, unvarint, varint

NOW = 1_700_000_000_000
GZIP, SNAPPY, LZ4, ZSTD = range(1, 5)
Record = tuple[bytes | None, bytes | None]


PACK = (bytes, gzip.compress, lambda data: bytes(cramjam.snappy.compress_raw(data)),
        lambda data: bytes(cramjam.lz4.compress(data)), lambda data: bytes(cramjam.zstd.compress(data)))


def unsnappy(data: bytes) -> bytes:
    """Raw as some producers send it, or in the framing of Java's."""
    if not data.startswith(b"\x82SNAPPY\0\0\0\0\1\0\0\0\1"):
        return bytes(cramjam.snappy.decompress_raw(data))
    plain, at = b"", 16
    while at < len(data):
        size, = struct.unpack_from(">i", data, at)
        plain += bytes(cramjam.snappy.decompress_raw(data[at + 4:at + 4 + size]))
        at += 4 + size
    return plain


UNPACK = (bytes, gzip.decompress, unsnappy,
          lambda data: bytes(cramjam.lz4.decompress(data)), lambda data: bytes(cramjam.zstd.decompress(data)))


def keyed(records: list[Record], *, codec: int = 0, timestamp: int = NOW, producer: int = -1,
          sequence: int = -1, apart_ms: int = 0) -> bytes:
    """A batch of them, each `apart_ms` later than the one before."""
    body = b""
    for delta, (key, value) in enumerate(records):
        one = b"\0" + varint(apart_ms * delta) + varint(delta)
        for part in (key, value):
            one += varint(-1) if part is None else varint(len(part)) + part
        body += varint(len(one) + 1) + one + varint(0)
    body = PACK[codec](body)
    covered = struct.pack(">hiqqqhii", codec, len(records) - 1, timestamp,
                          timestamp + apart_ms * (len(records) - 1), producer,
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
        records = UNPACK[batch[22] & 7](batch[61:])
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
