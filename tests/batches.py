"""Record batches v2 made in plain Python, so that the tests of the log do not lean on the encoder they use."""
from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from robustmq._fastpath.crc import crc32c_bytes


def varint(n: int) -> bytes:
    z = (n << 1) ^ (n >> 63)
    out = bytearray()
    while z > 127:
        out.append(z & 127 | 128)
        z >>= 7
    out.append(z)
    return bytes(out)


def batch(values: Sequence[bytes], *, timestamp: int = 1_700_000_000_000, producer: int = -1, epoch: int = -1,
          sequence: int = -1, base: int = 0) -> bytes:
    """One uncompressed batch with null keys."""
    records = b""
    for delta, value in enumerate(values):
        body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    covered = struct.pack(">hiqqqhii", 0, len(values) - 1, timestamp, timestamp, producer, epoch, sequence,
                          len(values)) + records
    return struct.pack(">qiibI", base, len(covered) + 9, 0, 2, crc32c_bytes(covered)) + covered


def split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(base offset, last offset, batch) of each batch in what a read returned."""
    at = 0
    while at < len(data):
        base, length = struct.unpack_from(">qi", data, at)
        delta, = struct.unpack_from(">i", data, at + 23)
        yield base, base + delta, data[at:at + length + 12]
        at += length + 12


def values(data: bytes) -> list[tuple[int, bytes]]:
    """(offset, value) of each record in uncompressed batches with short values."""
    found = []
    for base, _, one in split(data):
        at = 61
        while at < len(one):
            length, at = unvarint(one, at)
            end = at + length
            _, i = unvarint(one, at + 1)
            delta, i = unvarint(one, i)
            _, i = unvarint(one, i)
            n, i = unvarint(one, i)
            found.append((base + delta, one[i:i + n]))
            at = end
    return found


def unvarint(data: bytes, at: int) -> tuple[int, int]:
    z = shift = 0
    while True:
        b = data[at]
        at += 1
        z |= (b & 127) << shift
        shift += 7
        if b < 128:
            return (z >> 1) ^ -(z & 1), at
