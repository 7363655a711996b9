"""A look into one record batch v2, off the hot path: timestamps and offsets of its records
(https://kafka.apache.org/documentation/#recordbatch).
"""
from collections.abc import Iterator
from struct import Struct

from robustmq._fastpath.broker.codecs import CODEC_MASK, inflate

_HEADER = Struct(">qiibIhiqqqhii")      # the 61 bytes before the records
APPEND_TIME = 0x08                      # of attributes


def first_record_at(batch: bytes, timestamp_ms: int) -> tuple[int, int] | None:
    """Timestamp and offset of the batch's first record at `timestamp_ms` or later. With LogAppendTime every record has
    the batch's time. A batch that cannot be looked into gives its first offset: too early is safe, too late loses
    records.
    """
    base, _, _, _, _, attributes, _, base_time_ms, max_time_ms, _, _, _, count = _HEADER.unpack_from(batch)
    if max_time_ms < timestamp_ms:
        return None
    if attributes & APPEND_TIME:
        return max_time_ms, base
    try:
        for time_delta, offset_delta in _deltas(inflate(attributes & CODEC_MASK, batch[_HEADER.size :]), count):
            if base_time_ms + time_delta >= timestamp_ms:
                return base_time_ms + time_delta, base + offset_delta
    except (ValueError, IndexError):
        pass
    return max_time_ms, base


def _deltas(records: bytes | bytearray, count: int) -> Iterator[tuple[int, int]]:
    """Timestamp and offset delta of each record."""
    pos = 0
    for _ in range(count):
        length, pos = _varint(records, pos)
        if length <= 0:
            raise ValueError("a record without a length")
        end = pos + length
        time_delta, at = _varint(records, pos + 1)      # after the record's attributes
        offset_delta, _ = _varint(records, at)
        yield time_delta, offset_delta
        pos = end


def _varint(data: bytes | bytearray, pos: int) -> tuple[int, int]:
    """A zigzag varint of at most 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), pos
    raise ValueError("varint beyond 64 bits")
