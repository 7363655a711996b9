"""The five codecs of a record batch (attributes bits 0-2), off the hot path."""
from __future__ import annotations

import struct
import zlib

import cramjam

CODEC_MASK = 0x07
HEADER = 61                             # bytes of a batch before its records
INFLATED_MAX = 64 * 1024 * 1024         # records that inflate to more are refused
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
_INTO = {LZ4: cramjam.lz4.decompress_into, ZSTD: cramjam.zstd.decompress_into}
_XERIAL = b"\x82SNAPPY\x00"             # the framing of Java's snappy streams: magic, two versions, sized blocks
_XERIAL_BLOCK = 32 * 1024
_LZ4_BLOCK = 64 * 1024
# A frame: magic, version 1 with independent blocks (Java reads no others) of 64 KiB at most, checksum of these bytes.
_LZ4_HEAD = bytes.fromhex("04224d18 60 40 82")
_LZ4_AS_IT_IS = 1 << 31                 # in a block's length: it is not compressed


def inflate(codec: int, data: bytes) -> bytes | bytearray:
    """The records of a batch, uncompressed. ValueError: corrupt, unknown, or more than INFLATED_MAX bytes."""
    try:
        if codec == NONE:
            return data
        if codec == GZIP:
            return _inflate_gzip(data)
        if codec == SNAPPY:
            return _inflate_snappy(data)
        return _inflate_into(codec, data)
    except (cramjam.DecompressionError, zlib.error, struct.error, KeyError) as error:
        raise ValueError(f"records that do not inflate (codec {codec}): {error}") from error


def deflate(codec: int, records: bytes | bytearray) -> bytes | bytearray:
    """Records, compressed as Kafka's own clients do it, so that every client can read them."""
    if codec == GZIP:
        return zlib.compress(records, wbits=31)
    if codec == SNAPPY:
        return _deflate_snappy(records)
    if codec == LZ4:
        return _deflate_lz4(records)
    return bytes(cramjam.zstd.compress(records)) if codec == ZSTD else records


def inflate_batch(batch: bytes) -> bytes:
    """A whole batch without compression. Its CRC no longer matches: it is for reading, not for storing."""
    codec = batch[22] & CODEC_MASK
    records = inflate(codec, batch[HEADER:])
    head = bytearray(batch[:HEADER])
    head[22] &= ~CODEC_MASK & 0xFF
    struct.pack_into(">i", head, 8, HEADER - 12 + len(records))
    return bytes(head) + records


def _inflate_gzip(data: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    records = stream.decompress(data, INFLATED_MAX)
    if stream.unconsumed_tail:
        raise ValueError("records that inflate to too much")
    return records


def _inflate_into(codec: int, data: bytes) -> bytearray:
    """With a buffer that grows until it fits or the bound is reached."""
    size = min(4 * len(data) + 65_536, INFLATED_MAX)
    while True:
        room = bytearray(size)
        try:
            del room[_INTO[codec](data, room):]
            return room
        except cramjam.DecompressionError:          # corrupt, or more than fits
            if size == INFLATED_MAX:
                raise
            size = min(4 * size, INFLATED_MAX)


def _inflate_snappy(data: bytes) -> bytes:
    """Snappy is one raw block, or a stream of Java's."""
    blocks = [data]
    if data.startswith(_XERIAL):
        blocks, at = [], 16
        while at < len(data):
            (size,) = struct.unpack_from(">i", data, at)
            if not 0 <= size <= len(data) - at - 4:
                raise ValueError("a snappy block longer than its batch")
            blocks.append(data[at + 4:at + 4 + size])
            at += 4 + size
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > INFLATED_MAX:
        raise ValueError("records that inflate to too much")
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _deflate_snappy(records: bytes | bytearray) -> bytearray:
    framed = bytearray(_XERIAL + struct.pack(">ii", 1, 1))
    for at in range(0, len(records), _XERIAL_BLOCK):
        block = bytes(cramjam.snappy.compress_raw(records[at:at + _XERIAL_BLOCK]))
        framed += struct.pack(">i", len(block)) + block
    return framed


def _deflate_lz4(records: bytes | bytearray) -> bytearray:
    framed = bytearray(_LZ4_HEAD)
    for at in range(0, len(records), _LZ4_BLOCK):
        plain = records[at:at + _LZ4_BLOCK]
        block = bytes(cramjam.lz4.compress_block(plain, store_size=False))
        if len(block) < len(plain):
            framed += struct.pack("<I", len(block)) + block
        else:
            framed += struct.pack("<I", len(plain) | _LZ4_AS_IT_IS) + plain
    return framed + struct.pack("<I", 0)
