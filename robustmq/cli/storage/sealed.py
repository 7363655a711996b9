"""Sealed files: docs/formats/sealed.md."""
from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from robustmq.cli.storage.found import Batch, Damage, Found, Note, batch_of, crc, mapped
from robustmq.cli.storage.journal import BATCH, ENTRY, PAD, RESERVED, entry_crc

HEADER = FOOTER = 64
PREFIX = 16
INDEX_ROW = struct.Struct("<QQqQ")


class Row(NamedTuple):
    """One row of the directory."""

    stream: int
    base: int
    end: int
    at: int                 # 0: the records are in the blob store, in the sealed file with the id `index_at`
    size: int
    index_at: int
    index_rows: int
    batches: int
    max_timestamp_ms: int
    first_position: int
    last_position: int
    cleaned_at_ms: int


ROW = struct.Struct("<QQQQQQIIqQQQ")


def walk(path: Path) -> Iterator[Found]:
    """Everything in a sealed file: each run that its directory names, or what can be found without one."""
    with mapped(path) as view:
        if wrong := header_damage(view, path):
            yield Damage(path.name, 0, wrong)
            return
        rows = directory(view)
        if isinstance(rows, Damage):
            yield Damage(path.name, rows.byte, rows.what)
            yield from records(view, path.name, HEADER, len(view), None)
            return
        for row in rows:
            yield Note(path.name, row.at, "run", row.stream, first=row.base, last=row.end)
            if row.at:
                yield from run(view, path.name, row)


def header_damage(view: memoryview, path: Path) -> str:
    """What is wrong with the header; empty: nothing."""
    if len(view) < HEADER or bytes(view[:8]) != b"RMQSEAL1":
        return "this is no sealed file: everything in it is lost"
    version, _, ident, its_crc = struct.unpack_from("<IIQI", view, 8)
    if its_crc != crc(view[:24]):
        return "the crc of the header does not match: everything in it is lost"
    if version != 1:
        return f"the file has format {version}; this program reads 1"
    return "" if ident == int(path.stem, 16) else f"the file has id {ident:016x}, its name says otherwise"


def directory(view: memoryview) -> list[Row] | Damage:
    """The rows, when footer and directory prove themselves."""
    at = len(view) - FOOTER
    if at < HEADER or len(view) & 7 or bytes(view[at + 40:at + 48]) != b"RMQSEALE":
        return Damage("", max(at, 0), "the file was cut short")
    start, count, size, ident, rows_crc, version = struct.unpack_from("<QQQQII", view, at)
    if struct.unpack_from("<I", view, at + 48)[0] != crc(view[at:at + 48]):
        return Damage("", at, "the crc of the footer does not match")
    if size != len(view) or ident != struct.unpack_from("<Q", view, 16)[0] or version != 1 \
            or start + count * ROW.size != at:
        return Damage("", at, "the footer contradicts the file")
    if rows_crc != crc(view[start:at]):
        return Damage("", start, "the crc of the directory does not match")
    return [Row(*fields) for fields in ROW.iter_unpack(view[start:at])]


def run(view: memoryview, file: str, row: Row) -> Iterator[Found]:
    """The records of a run, and whether directory and index tell the truth about them."""
    batches: dict[int, Batch] = {}
    damaged = False
    for found in records(view, file, row.at, row.at + row.size, row):
        damaged = damaged or isinstance(found, Damage)
        if isinstance(found, Batch):
            batches[found.byte] = found
        yield found
    if not damaged and len(batches) != row.batches:
        yield Damage(file, row.at, f"a run has {len(batches)} batches, its directory row says {row.batches}",
                     row.stream, row.base, row.end - 1)
    for i in range(row.index_rows):
        byte = row.index_at + i * INDEX_ROW.size
        if byte + INDEX_ROW.size > len(view):
            yield Damage(file, byte, "an index ends outside of the file", row.stream, row.base, row.end - 1)
            return
        base, position, _, at = INDEX_ROW.unpack_from(view, byte)
        led = batches.get(at)
        if not damaged and (led is None or led.base != base or led.position != position):
            yield Damage(file, byte, "an index row leads to a record that is not the one it names; reads are slower",
                         row.stream, row.base, row.end - 1)


def records(view: memoryview, file: str, at: int, end: int, row: Row | None) -> Iterator[Found]:
    """Records from byte `at`; behind damage the next one that proves itself is sought. Without a row they are of any
    stream, and what does not look like a record is not damage (it may be the directory).
    """
    damage: Damage | None = None
    expected = row.base if row is not None else 0
    while at + PREFIX + ENTRY <= end:
        found = record(view, file, at, end)
        if row is not None and isinstance(found, Batch) and (found.stream != row.stream or found.base < expected):
            found = "a record is not of this run"
        if isinstance(found, str):
            if damage is None and row is not None:
                damage = Damage(file, at, found, row.stream, expected)
            at += 8
            continue
        if damage is not None:
            yield Damage(damage.file, damage.byte, damage.what, damage.stream, damage.first, found.base - 1)
            damage = None
        yield found
        expected = found.last + 1
        at += PREFIX + (ENTRY + found.size + 7 & ~7)
    if damage is None and row is not None and at != end:
        damage = Damage(file, at, "a run ends in the middle of a record", row.stream, expected)
    if damage is not None and row is not None:
        yield Damage(damage.file, damage.byte, damage.what, damage.stream, damage.first, row.end - 1)


def record(view: memoryview, file: str, at: int, end: int) -> Batch | str:
    """The record at byte `at`, or what is wrong with it."""
    position, its_crc, zero = struct.unpack_from("<QII", view, at)
    mark, entry_s_crc, kind, _, stream, base = struct.unpack_from("<QIHHQQ", view, at + PREFIX)
    length = (mark & 0xFFFFFFFF) >> 2
    start = at + PREFIX
    if kind != BATCH or mark & (PAD | RESERVED) or length < ENTRY or start + length > end:
        return "no record stands here"
    view_of = view[start:start + length]
    if zero or its_crc != crc(memoryview(struct.pack("<QI", position, entry_s_crc))):
        return "the crc of a record does not match"
    if entry_s_crc != entry_crc(view_of, length, kind):
        return "the crc of an entry does not match"
    return batch_of(view_of[ENTRY:], file, at, position, stream, base, sealed=True)
