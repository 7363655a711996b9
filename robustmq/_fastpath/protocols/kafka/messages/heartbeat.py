"""Heartbeat (key 12). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_string

_H = Struct(">h")
_I = Struct(">i")


@dataclass(slots=True)
class HeartbeatRequest:
    """Heartbeat v0-v4, request."""

    API_KEY: ClassVar[int] = 12
    VERSIONS: ClassVar[range] = range(5)
    FLEXIBLE_FROM: ClassVar[int] = 4
    group_id: str = ""
    generation_id: int = 0
    member_id: str = ""
    group_instance_id: str | None = None

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_string(out, self.group_id, flexible)
        out += _I.pack(self.generation_id)
        put_string(out, self.member_id, flexible)
        if version >= 3:
            put_string(out, self.group_instance_id, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "HeartbeatRequest":
        self = cls()
        flexible = version >= 4
        self.group_id = r.string(flexible)
        self.generation_id, = r.fixed(_I)
        self.member_id = r.string(flexible)
        if version >= 3:
            self.group_instance_id = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class HeartbeatResponse:
    """Heartbeat v0-v4, response."""

    API_KEY: ClassVar[int] = 12
    VERSIONS: ClassVar[range] = range(5)
    FLEXIBLE_FROM: ClassVar[int] = 4
    throttle_time_ms: int = 0
    error_code: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        if version >= 1:
            out += _I.pack(self.throttle_time_ms)
        out += _H.pack(self.error_code)
        if version >= 4:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "HeartbeatResponse":
        self = cls()
        if version >= 1:
            self.throttle_time_ms, = r.fixed(_I)
        self.error_code, = r.fixed(_H)
        if version >= 4:
            r.skip_tags()
        return self
