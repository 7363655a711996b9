"""Read MQTT's data types from one whole packet; every error is a WireError [MQTT-1.5]."""
from .reasons import Reason, WireError


class Reader:
    """A bounded cursor over the bytes of one packet."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._data = data
        self._at = at
        self._end = len(data) if end is None else end

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self._end - self._at

    def take(self, n: int) -> bytes:
        """The next `n` bytes."""
        if self.left < n:
            raise WireError(Reason.MALFORMED, f"the packet ends {n - self.left} bytes early")
        self._at += n
        return self._data[self._at - n : self._at]

    def u8(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Two bytes, big-endian [MQTT-1.5.2]."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """Four bytes, big-endian [MQTT-1.5.3]."""
        return int.from_bytes(self.take(4), "big")

    def varint(self) -> int:
        """A variable byte integer, at most four bytes [MQTT-1.5.5]."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise WireError(Reason.MALFORMED, "a variable byte integer is longer than four bytes")

    def binary(self) -> bytes:
        """Binary data with a two-byte length [MQTT-1.5.6]."""
        return self.take(self.u16())

    def string(self) -> str:
        """UTF-8 without U+0000 or surrogates [MQTT-1.5.4-1, -2]."""
        try:
            text = self.binary().decode("utf-8")
        except UnicodeDecodeError as error:
            raise WireError(Reason.MALFORMED, "a string is not UTF-8") from error
        if "\0" in text:
            raise WireError(Reason.MALFORMED, "a string contains U+0000")
        return text

    def section(self) -> "Reader":
        """A reader over the next length-prefixed stretch (a property section)."""
        n = self.varint()
        if n > self.left:
            raise WireError(Reason.MALFORMED, "the properties are longer than the packet")
        start = self._at
        self._at += n
        return Reader(self._data, start, self._at)


def put_varint(value: int) -> bytes:
    """The shortest variable byte integer [MQTT-1.5.5-1]."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_binary(data: bytes) -> bytes:
    """Binary data or an encoded string, behind its two-byte length."""
    return len(data).to_bytes(2, "big") + data


def open_packet(frame: bytes) -> tuple[int, Reader]:
    """First byte of the fixed header, and a reader over what the remaining length covers."""
    reader = Reader(frame)
    first = reader.u8()
    if reader.varint() != reader.left:
        raise WireError(Reason.MALFORMED, "the remaining length is not the packet's")
    return first, reader


def close_packet(first: int, body: bytes) -> bytes:
    """A frame of `body` behind its fixed header."""
    return bytes((first,)) + put_varint(len(body)) + body
