"""How a value is written, and what is allowed: one small class per kind of key.

`parse` takes what TOML, the environment or the command line brought (text is always accepted) and returns the value
that the broker uses: plain integers in the unit that the key's name ends in. It raises ValueError; the message is the
`allowed` text, which stands in the error beside the key and the value.
"""
from __future__ import annotations

import re
from dataclasses import dataclass

SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
         "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
NANOSECONDS = {"us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
NUMBER = re.compile(r"\s*(\d+)\s*([A-Za-z]*)\s*")


class Kind:
    """What a value of a key may be."""

    @property
    def allowed(self) -> str:
        """What may be written, for people."""
        raise NotImplementedError

    def parse(self, raw: object) -> object:
        """The value; ValueError when it is not allowed."""
        raise NotImplementedError

    def show(self, value: object) -> str:
        """The value as TOML."""
        raise NotImplementedError


@dataclass(frozen=True)
class Integer(Kind):
    """A whole number from `low` to `high`."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def number(self, raw: object) -> int:
        """The number that is written, before the bounds."""
        if isinstance(raw, int) and not isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and re.fullmatch(r"\s*-?\d+\s*", raw):
            return int(raw)
        raise ValueError(self.allowed)

    def parse(self, raw: object) -> int:
        value = self.number(raw)
        if not self.low <= value <= self.high:
            raise ValueError(self.allowed)
        return value

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True)
class Size(Integer):
    """Bytes: a number, or one with a unit."""

    @property
    def allowed(self) -> str:
        return f'bytes from {size_text(self.low)} to {size_text(self.high)}: a number, or one with a unit like "128MiB"'

    def number(self, raw: object) -> int:
        match = NUMBER.fullmatch(raw) if isinstance(raw, str) else None
        if match and match[2] in SIZES:
            return int(match[1]) * SIZES[match[2]]
        return super().number(raw)

    def show(self, value: object) -> str:
        assert isinstance(value, int)
        text = size_text(value)
        return text if text.isdigit() else f'"{text}"'


@dataclass(frozen=True)
class Duration(Integer):
    """Time in `unit`: a number of that unit, or one with a unit of its own."""

    unit: str

    @property
    def allowed(self) -> str:
        return (f'{self.unit} from {self.low} to {self.high}: a number, or one with a unit like "30s" '
                "(us, ms, s, m, h, d)")

    def number(self, raw: object) -> int:
        match = NUMBER.fullmatch(raw) if isinstance(raw, str) else None
        if match and match[2] in NANOSECONDS:
            value, rest = divmod(int(match[1]) * NANOSECONDS[match[2]], NANOSECONDS[self.unit])
            if rest:
                raise ValueError(f"{self.allowed}; finer than one {self.unit} is not possible")
            return value
        return super().number(raw)


@dataclass(frozen=True)
class Ratio(Kind):
    """A share of a whole."""

    @property
    def allowed(self) -> str:
        return "a number from 0 to 1"

    def parse(self, raw: object) -> float:
        if isinstance(raw, str) and re.fullmatch(r"\s*\d*\.?\d+\s*", raw):
            raw = float(raw)
        if isinstance(raw, (int, float)) and not isinstance(raw, bool) and 0 <= raw <= 1:
            return float(raw)
        raise ValueError(self.allowed)

    def show(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True)
class Switch(Kind):
    """true or false."""

    @property
    def allowed(self) -> str:
        return "true or false"

    def parse(self, raw: object) -> bool:
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and raw.strip().lower() in {"true", "false"}:
            return raw.strip().lower() == "true"
        raise ValueError(self.allowed)

    def show(self, value: object) -> str:
        return "true" if value else "false"


@dataclass(frozen=True)
class Text(Kind):
    """Any text that `pattern` matches; `says` describes it."""

    says: str = "text"
    pattern: str = r"[^\x00-\x1f]*"

    @property
    def allowed(self) -> str:
        return self.says

    def parse(self, raw: object) -> str:
        if isinstance(raw, str) and re.fullmatch(self.pattern, raw):
            return raw
        raise ValueError(self.allowed)

    def show(self, value: object) -> str:
        return quoted(str(value))


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return " or ".join([", ".join(quoted(word) for word in self.words[:-1]), quoted(self.words[-1])])

    def parse(self, raw: object) -> str:
        if isinstance(raw, str) and raw in self.words:
            return raw
        raise ValueError(self.allowed)

    def show(self, value: object) -> str:
        return quoted(str(value))


@dataclass(frozen=True)
class Address(Kind):
    """host:port, "[v6]:port", or empty for off."""

    @property
    def allowed(self) -> str:
        return '"host:port" with a port from 0 (any free one) to 65535, "[IPv6]:port", or "" for off'

    def parse(self, raw: object) -> str:
        if isinstance(raw, str) and (raw == "" or endpoint(raw) is not None):
            return raw
        raise ValueError(self.allowed)

    def show(self, value: object) -> str:
        return quoted(str(value))


@dataclass(frozen=True)
class Texts(Kind):
    """A list of texts; in the environment and on the command line separated by commas."""

    @property
    def allowed(self) -> str:
        return 'a list of texts like ["a", "b"]; outside a file: a,b'

    def parse(self, raw: object) -> tuple[str, ...]:
        if isinstance(raw, str):
            return tuple(part.strip() for part in raw.split(",") if part.strip())
        if isinstance(raw, list) and all(isinstance(part, str) for part in raw):
            return tuple(raw)
        raise ValueError(self.allowed)

    def show(self, value: object) -> str:
        assert isinstance(value, tuple)
        return "[" + ", ".join(quoted(part) for part in value) + "]"


def endpoint(text: str) -> tuple[str, int] | None:
    """(host, port) of "host:port"; None when it is not one."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        return None
    return host, int(port)


def size_text(value: int) -> str:
    """Bytes with the largest binary unit that leaves a whole number."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value and value % SIZES[unit] == 0:
            return f"{value // SIZES[unit]}{unit}"
    return str(value)


def quoted(text: str) -> str:
    """A TOML basic string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
