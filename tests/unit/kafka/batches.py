"""Record batches v2 for tests, in plain Python."""
import struct

import cramjam

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4


def varint(value: int) -> bytes:
    """Zigzag."""
    rest = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def xerial(data: bytes) -> bytes:
    """Java's snappy stream, in blocks of 20 bytes."""
    out = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
    for at in range(0, len(data), 20):
        block = bytes(cramjam.snappy.compress_raw(data[at : at + 20]))
        out += struct.pack(">i", len(block)) + block
    return out


PACK = {
    0: lambda data: data,
    GZIP: lambda data: bytes(cramjam.gzip.compress(data)),
    SNAPPY: lambda data: bytes(cramjam.snappy.compress_raw(data)),
    LZ4: lambda data: bytes(cramjam.lz4.compress(data)),
    ZSTD: lambda data: bytes(cramjam.zstd.compress(data)),
}


def batch(base: int, times_ms: list[int], codec: int = 0, attributes: int = 0, value: bytes = b"v",
          packed: bytes | None = None) -> bytes:
    """Records with these timestamps; the CRC is not set."""
    records = b""
    for number, time_ms in enumerate(times_ms):
        body = b"\x00" + varint(time_ms - times_ms[0]) + varint(number) + varint(-1)
        body += varint(len(value)) + value + b"\x00"
        records += varint(len(body)) + body
    records = PACK[codec](records) if packed is None else packed
    head = struct.pack(">qiibIhiqqqhii", base, 49 + len(records), 0, 2, 0, codec | attributes, len(times_ms) - 1,
                       times_ms[0], max(times_ms), -1, -1, -1, len(times_ms))
    return head + records
