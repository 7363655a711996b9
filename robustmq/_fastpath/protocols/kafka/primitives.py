"""Kafka's primitive types: a bounded reader and the writers beside it (https://kafka.apache.org/protocol#protocol_types).

Two forms exist of every length: before a message's flexible versions an int16 or int32 with -1 for null, from there on
("compact", KIP-482) an unsigned varint of length + 1 with 0 for null. `flexible` selects the form.

A count or length is checked against the bytes that are left before anything is allocated for it, and all arrays of one
message together have at most `elements` elements: a megabyte of one-byte elements must not become a gigabyte of
objects.
"""
from collections.abc import Iterator
from struct import Struct
from typing import Any

ELEMENTS_MAX = 1_000_000
UUID_ZERO = bytes(16)

_INT16 = Struct(">h")
_INT32 = Struct(">i")


class Malformed(ValueError):
    """Bytes that are no such message; Kafka's answer is a closed connection."""


class Reader:
    """Reads one message front to back; every method raises Malformed rather than look past `end`."""

    __slots__ = ("data", "elements", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, elements: int = ELEMENTS_MAX) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data)
        self.elements = elements

    def take(self, size: int) -> int:
        """Position of the next `size` bytes, which are consumed."""
        pos = self.pos
        if size > self.end - pos:
            raise Malformed(f"{size} bytes wanted at {pos}, {self.end - pos} left")
        self.pos = pos + size
        return pos

    def fixed(self, layout: Struct) -> tuple[Any, ...]:
        """Fields of fixed size."""
        return layout.unpack_from(self.data, self.take(layout.size))

    def uvarint(self) -> int:
        """An unsigned varint of at most 32 bits."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.data[self.take(1)]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > 0xFFFFFFFF:
                    break
                return value
        raise Malformed(f"unsigned varint beyond 32 bits at {self.pos}")

    def _length(self, flexible: bool, layout: Struct) -> int:
        """A length or count; -1 is null."""
        length: int = self.uvarint() - 1 if flexible else layout.unpack_from(self.data, self.take(layout.size))[0]
        if length < -1:
            raise Malformed(f"length {length} at {self.pos}")
        return length

    def nullable_string(self, flexible: bool) -> str | None:
        """A string of at most 32,767 bytes of UTF-8."""
        length = self._length(flexible, _INT16)
        if length < 0:
            return None
        if length > 0x7FFF:
            raise Malformed(f"string of {length} bytes at {self.pos}")
        pos = self.take(length)
        try:
            return self.data[pos : pos + length].decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"string at {pos} is not UTF-8") from error

    def string(self, flexible: bool) -> str:
        """A string that is not null."""
        value = self.nullable_string(flexible)
        if value is None:
            raise Malformed(f"null string at {self.pos}")
        return value

    def nullable_bytes(self, flexible: bool) -> bytes | None:
        """Opaque bytes, or records."""
        length = self._length(flexible, _INT32)
        if length < 0:
            return None
        pos = self.take(length)
        return self.data[pos : pos + length]

    def bytes(self, flexible: bool) -> bytes:
        """Opaque bytes that are not null."""
        value = self.nullable_bytes(flexible)
        if value is None:
            raise Malformed(f"null bytes at {self.pos}")
        return value

    def nullable_count(self, flexible: bool, element_size: int) -> int:
        """The count of an array whose elements take at least `element_size` bytes each; -1 is null."""
        count = self._length(flexible, _INT32)
        if count > 0:
            if count * element_size > self.end - self.pos:
                raise Malformed(f"array of {count} elements at {self.pos}, {self.end - self.pos} bytes left")
            self.elements -= count
            if self.elements < 0:
                raise Malformed(f"more array elements than a message may hold at {self.pos}")
        return count

    def count(self, flexible: bool, element_size: int) -> int:
        """The count of an array that is not null."""
        count = self.nullable_count(flexible, element_size)
        if count < 0:
            raise Malformed(f"null array at {self.pos}")
        return count

    def present(self) -> bool:
        """Whether a nullable struct follows (int8: -1 null, 1 present)."""
        mark = self.data[self.take(1)]
        if mark not in (0xFF, 1):
            raise Malformed(f"nullable struct marked {mark} at {self.pos}")
        return mark == 1

    def tags(self) -> Iterator[int]:
        """Each tagged field's number, with the reader confined to its bytes; a field that is not read is skipped."""
        outer = self.end
        for _ in range(self.uvarint()):
            tag = self.uvarint()
            size = self.uvarint()
            start = self.take(size)
            self.pos, self.end = start, start + size
            yield tag
            if self.pos not in (start, self.end):
                raise Malformed(f"tagged field {tag} ends at {self.pos}, not at {self.end}")
            self.pos, self.end = self.end, outer

    def skip_tags(self) -> None:
        """Skip all tagged fields."""
        for _ in self.tags():
            pass


def put_uvarint(out: bytearray, value: int) -> None:
    """An unsigned varint."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def put_string(out: bytearray, value: str | None, flexible: bool) -> None:
    """A string or null."""
    _put(out, None if value is None else value.encode(), flexible, _INT16)


def put_bytes(out: bytearray, value: bytes | None, flexible: bool) -> None:
    """Opaque bytes, records, or null."""
    _put(out, value, flexible, _INT32)


def _put(out: bytearray, value: bytes | None, flexible: bool, layout: Struct) -> None:
    length = -1 if value is None else len(value)
    if flexible:
        put_uvarint(out, length + 1)
    else:
        out += layout.pack(length)
    if value is not None:
        out += value


def put_count(out: bytearray, count: int, flexible: bool) -> None:
    """The count of an array, -1 for null."""
    if flexible:
        put_uvarint(out, count + 1)
    else:
        out += _INT32.pack(count)


def put_tags(out: bytearray, tags: list[tuple[int, bytearray]]) -> None:
    """Tagged fields in the order of their numbers."""
    put_uvarint(out, len(tags))
    for tag, value in tags:
        put_uvarint(out, tag)
        put_uvarint(out, len(value))
        out += value
