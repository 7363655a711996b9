"""FindCoordinator (key 10). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_count, put_string

_B = Struct(">b")
_H = Struct(">h")
_I = Struct(">i")
_IH = Struct(">ih")


@dataclass(slots=True)
class FindCoordinatorRequest:
    """FindCoordinator v0-v6, request."""

    API_KEY: ClassVar[int] = 10
    VERSIONS: ClassVar[range] = range(7)
    FLEXIBLE_FROM: ClassVar[int] = 3
    key: str = ""
    key_type: int = 0
    coordinator_keys: list[str] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 3
        if version <= 3:
            put_string(out, self.key, flexible)
        if version >= 1:
            out += _B.pack(self.key_type)
        if version >= 4:
            put_count(out, len(self.coordinator_keys), flexible)
            for text in self.coordinator_keys:
                put_string(out, text, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "FindCoordinatorRequest":
        self = cls()
        flexible = version >= 3
        if version <= 3:
            self.key = r.string(flexible)
        if version >= 1:
            self.key_type, = r.fixed(_B)
        if version >= 4:
            count = r.count(flexible, 1)
            self.coordinator_keys = [r.string(flexible) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class Coordinator:
    """`coordinators` of FindCoordinatorResponse."""

    key: str = ""
    node_id: int = 0
    host: str = ""
    port: int = 0
    error_code: int = 0
    error_message: str | None = ""

    def encode(self, out: bytearray, version: int) -> None:
        put_string(out, self.key, True)
        out += _I.pack(self.node_id)
        put_string(out, self.host, True)
        out += _IH.pack(self.port, self.error_code)
        put_string(out, self.error_message, True)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "Coordinator":
        self = cls()
        self.key = r.string(True)
        self.node_id, = r.fixed(_I)
        self.host = r.string(True)
        self.port, self.error_code = r.fixed(_IH)
        self.error_message = r.nullable_string(True)
        r.skip_tags()
        return self


@dataclass(slots=True)
class FindCoordinatorResponse:
    """FindCoordinator v0-v6, response."""

    API_KEY: ClassVar[int] = 10
    VERSIONS: ClassVar[range] = range(7)
    FLEXIBLE_FROM: ClassVar[int] = 3
    throttle_time_ms: int = 0
    error_code: int = 0
    error_message: str | None = ""
    node_id: int = 0
    host: str = ""
    port: int = 0
    coordinators: list[Coordinator] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 3
        if version >= 1:
            out += _I.pack(self.throttle_time_ms)
        if version <= 3:
            out += _H.pack(self.error_code)
        if 1 <= version <= 3:
            put_string(out, self.error_message, flexible)
        if version <= 3:
            out += _I.pack(self.node_id)
            put_string(out, self.host, flexible)
            out += _I.pack(self.port)
        if version >= 4:
            put_count(out, len(self.coordinators), flexible)
            for coordinator in self.coordinators:
                coordinator.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "FindCoordinatorResponse":
        self = cls()
        flexible = version >= 3
        if version >= 1:
            self.throttle_time_ms, = r.fixed(_I)
        if version <= 3:
            self.error_code, = r.fixed(_H)
        if 1 <= version <= 3:
            self.error_message = r.nullable_string(flexible)
        if version <= 3:
            self.node_id, = r.fixed(_I)
            self.host = r.string(flexible)
            self.port, = r.fixed(_I)
        if version >= 4:
            count = r.count(flexible, 13)
            self.coordinators = [Coordinator.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
