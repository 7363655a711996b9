"""Journal segments: docs/formats/journal.md."""
from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from robustmq.cli.storage.found import BATCH_HEADER, Damage, Found, Note, batch_of, crc, mapped

HEADER, ENTRY = 64, 48
LOST_MOST = 8 << 20         # behind the tail, in which lost entries are looked for
PAD, RESERVED = 2, 1
BATCH, STREAM, STREAM_END, STATE, PRODUCERS, SESSION = 1, 2, 3, 4, 5, 6
KINDS = {STREAM_END: "end", STATE: "state", PRODUCERS: "producers", SESSION: "session"}
NAME_AT = 24


def entry_crc(view: memoryview, length: int, kind: int) -> int:
    """What the crc of an entry covers: all behind it, of a batch the two headers."""
    return crc(view[12:min(length, ENTRY + BATCH_HEADER) if kind == BATCH else length])


def is_retired(view: memoryview) -> bool:
    """On its way to a new life: a header of zeros."""
    return not any(view[:HEADER])


def header_damage(view: memoryview, path: Path) -> str:
    """What is wrong with a segment's header; empty: nothing."""
    if len(view) < HEADER or bytes(view[:8]) != b"RMQJRNL1":
        return "this is no journal segment"
    version, _, sequence, size, its_crc = struct.unpack_from("<IIQQI", view, 8)
    if its_crc != crc(view[:32]):
        return "the crc of the header does not match"
    if version != 1:
        return f"the segment has format {version}; this program reads 1"
    if sequence != int(path.stem, 16):
        return f"the segment is number {sequence:016x}, its name says otherwise"
    return "" if size == len(view) else f"the file has {len(view)} bytes, its header says {size}"


def is_free(path: Path) -> bool:
    """Retired: what it held is elsewhere."""
    with mapped(path) as view:
        return is_retired(view)


def is_empty(path: Path) -> bool:
    """A segment without entries: prepared, and not needed so far."""
    with mapped(path) as view:
        return len(view) >= HEADER + 8 and struct.unpack_from("<Q", view, HEADER)[0] >> 32 != nonce_of(view)


def nonce_of(view: memoryview) -> int:
    return int(struct.unpack_from("<I", view, 12)[0])


def label(path: Path) -> str:
    """What the file is called: both chains have the same names."""
    return path.name if path.parent.name == "journal" else f"{path.parent.name}/{path.name}"


def walk(path: Path, *, last: bool) -> Iterator[Found]:
    """Everything in a segment; `last`: the newest that holds entries, where a chain may end anywhere."""
    with mapped(path) as view:
        if is_retired(view):
            return
        if wrong := header_damage(view, path):
            yield Damage(label(path), 0, f"{wrong}: everything in it is lost")
            return
        yield from entries(view, path, last)


def entries(view: memoryview, path: Path, last: bool) -> Iterator[Found]:
    nonce, size = nonce_of(view), len(view)
    start = int(path.stem, 16) * size
    at = HEADER
    while at + 8 <= size:
        mark, = struct.unpack_from("<Q", view, at)
        length = (mark & 0xFFFFFFFF) >> 2
        stride = length + 7 & ~7
        if mark >> 32 != nonce or stride > size - at or length < (8 if mark & PAD else ENTRY):
            break
        if not mark & PAD:
            yield entry(view[at:at + length], label(path), at, start + at, reserved=bool(mark & RESERVED), last=last)
        at += stride
    if at < size and not last:
        yield Damage(label(path), at, f"the chain of entries ends here: the {size - at} bytes behind it are lost")
    elif (behind := whole_entry(view, nonce, at)) is not None:
        yield Damage(label(path), at, f"the chain of entries ends here: entries from byte {behind} on are lost")


def whole_entry(view: memoryview, nonce: int, at: int) -> int | None:
    """The first entry of this life behind the tail, within LOST_MOST bytes."""
    wanted, end = struct.pack("<I", nonce), min(len(view), at + LOST_MOST)
    data = bytes(view[at:end])
    found = data.find(wanted)
    while found >= 0:
        start = found - 4                       # the nonce is the upper half of a mark
        if start >= 0 and (at + start) % 8 == 0 and start + ENTRY <= len(data):
            length = struct.unpack_from("<I", data, start)[0]
            size = length >> 2
            if not length & (PAD | RESERVED) and ENTRY <= size <= len(view) - at - start:
                whole = view[at + start:at + start + size]
                its_crc, kind = struct.unpack_from("<IH", whole, 8)
                if its_crc == entry_crc(whole, size, kind):
                    return at + start
        found = data.find(wanted, found + 1)
    return None


def entry(view: memoryview, file: str, at: int, position: int, *, reserved: bool, last: bool) -> Found:
    its_crc, kind, _, stream, base, _, aux = struct.unpack_from("<IHHQQQQ", view, 8)
    if reserved:
        if last:
            return Note(file, at, "remark", name="an append that was killed half way; recovery drops it")
        return Damage(file, at, "an append was never finished", stream, base)
    if its_crc != entry_crc(view, len(view), kind):
        return Damage(file, at, "the crc of an entry does not match", stream, base if kind == BATCH else None)
    body = view[ENTRY:]
    if kind == BATCH:
        found = batch_of(body, file, at, position, stream, base, sealed=False)
        return Damage(file, at, found, stream, base) if isinstance(found, str) else found
    if kind == STREAM:
        return stream_entry(body, file, at, stream, base, aux)
    if kind not in KINDS:
        return Note(file, at, "remark", stream, f"an entry of kind {kind}, which this program does not know")
    return Note(file, at, KINDS[kind], stream)


def stream_entry(body: memoryview, file: str, at: int, stream: int, end: int, start: int) -> Found:
    if len(body) < NAME_AT:
        return Damage(file, at, "a directory entry is shorter than it must be", stream)
    partition, = struct.unpack_from("<I", body, 16)
    length, = struct.unpack_from("<H", body, 22)
    if len(body) != NAME_AT + length:
        return Damage(file, at, "a directory entry contradicts its length", stream)
    return Note(file, at, "stream", stream, bytes(body[NAME_AT:]).decode(errors="replace"), partition, start, end)
