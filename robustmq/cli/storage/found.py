"""What a walk over a file finds."""
from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from robustmq._fastpath.crc import crc32c_bytes

BATCH_HEADER = 61
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that does not prove itself. `first` and `last` are offsets, as far as they can be told."""

    file: str
    byte: int
    what: str
    stream: int | None = None
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A record batch that proves itself."""

    file: str
    byte: int
    position: int           # in the journal, for ever
    stream: int
    base: int
    last: int
    records: int
    size: int
    codec: str
    timestamp_ms: int       # the highest
    producer: int
    epoch: int
    sequence: int
    sealed: bool


@dataclass(frozen=True, slots=True)
class Note:
    """An entry that is no batch, or a remark. `kind`: stream, end, state, producers, session, run or remark."""

    file: str
    byte: int
    kind: str
    stream: int = 0
    name: str = ""          # stream: the topic; remark: the sentence
    partition: int = 0
    first: int = 0          # stream: its start; run: base offset
    last: int = 0           # stream: its end at that moment; run: end offset


Found = Damage | Batch | Note


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """The bytes of a file; empty for an empty one."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            yield memoryview(b"")
            return
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data, memoryview(data) as view:
            yield view


def crc(data: memoryview) -> int:
    """CRC-32C."""
    return int(crc32c_bytes(data))


def batch_of(view: memoryview, file: str, byte: int, position: int, stream: int, base: int, *,
             sealed: bool) -> Batch | str:
    """The batch in `view` if it proves itself and has the base offset that its entry names, else what is wrong."""
    if len(view) < BATCH_HEADER:
        return "a batch is shorter than its header"
    own_base, length, _, magic, its_crc, attributes, delta, _, timestamp, producer, epoch, sequence, count = \
        struct.unpack_from(">qiibIhiqqqhii", view)
    if length + 12 != len(view) or magic != 2:
        return "a batch contradicts the length of its entry"
    if its_crc != crc(view[21:]):
        return "the crc of a batch does not match"
    if own_base != base:
        return "a batch contradicts the offset of its entry"
    codec = CODECS[attributes & 7] if attributes & 7 < len(CODECS) else "unknown"
    return Batch(file, byte, position, stream, base, base + delta, count, len(view), codec, timestamp, producer, epoch,
                 sequence, sealed)
