"""A look into one record batch v2, off the hot path: timestamps and offsets of its records
(https://kafka.apache.org/documentation/#recordbatch).
"""
from collections.abc import Iterator
from struct import Struct

import cramjam

_HEADER = Struct(">qiibIhiqqqhii")      # the 61 bytes before the records
INFLATED_MAX = 64 * 1024 * 1024         # a batch that inflates to more is searched no further than its header
CODEC_MASK, APPEND_TIME = 0x07, 0x08    # of attributes
_INTO = {1: cramjam.gzip.decompress_into, 3: cramjam.lz4.decompress_into, 4: cramjam.zstd.decompress_into}
_SNAPPY = 2
_XERIAL = b"\x82SNAPPY\x00"             # the framing of Java's snappy streams: magic, two versions, sized blocks


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
        for time_delta, offset_delta in _deltas(_inflate(attributes & CODEC_MASK, batch[_HEADER.size :]), count):
            if base_time_ms + time_delta >= timestamp_ms:
                return base_time_ms + time_delta, base + offset_delta
    except (ValueError, IndexError, cramjam.DecompressionError):
        pass
    return max_time_ms, base


def _deltas(records: bytes | bytearray, count: int) -> Iterator[tuple[int, int]]:
    """Timestamp and offset delta of each record."""
    pos = 0
    for _ in range(count):
        length, pos = _varint(records, pos)
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


def _inflate(codec: int, data: bytes) -> bytes | bytearray:
    """The records of a batch, uncompressed; ValueError when they are more than INFLATED_MAX bytes."""
    if codec == 0:
        return data
    if codec == _SNAPPY:
        return _inflate_snappy(data)
    size = min(4 * len(data) + 65_536, INFLATED_MAX)
    while True:
        room = bytearray(size)
        try:
            del room[_INTO[codec](data, room) :]
            return room
        except cramjam.DecompressionError as error:     # corrupt, or more than fits
            if size == INFLATED_MAX:
                raise ValueError("records that inflate to too much") from error
            size = min(4 * size, INFLATED_MAX)


def _inflate_snappy(data: bytes) -> bytes:
    """Snappy is one raw block, or a stream of Java's."""
    blocks = [data]
    if data.startswith(_XERIAL):
        blocks, pos = [], 16
        while pos < len(data):
            size = int.from_bytes(data[pos : pos + 4])
            blocks.append(data[pos + 4 : pos + 4 + size])
            pos += 4 + size
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > INFLATED_MAX:
        raise ValueError("records that inflate to too much")
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)
