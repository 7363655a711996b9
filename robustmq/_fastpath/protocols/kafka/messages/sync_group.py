"""SyncGroup (key 14). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_bytes, put_count, put_string

_H = Struct(">h")
_I = Struct(">i")


@dataclass(slots=True)
class SyncGroupRequestAssignment:
    """`assignments` of SyncGroupRequest."""

    member_id: str = ""
    assignment: bytes = b""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_string(out, self.member_id, flexible)
        put_bytes(out, self.assignment, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "SyncGroupRequestAssignment":
        self = cls()
        flexible = version >= 4
        self.member_id = r.string(flexible)
        self.assignment = r.bytes(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class SyncGroupRequest:
    """SyncGroup v0-v5, request."""

    API_KEY: ClassVar[int] = 14
    VERSIONS: ClassVar[range] = range(6)
    FLEXIBLE_FROM: ClassVar[int] = 4
    group_id: str = ""
    generation_id: int = 0
    member_id: str = ""
    group_instance_id: str | None = None
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignments: list[SyncGroupRequestAssignment] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_string(out, self.group_id, flexible)
        out += _I.pack(self.generation_id)
        put_string(out, self.member_id, flexible)
        if version >= 3:
            put_string(out, self.group_instance_id, flexible)
        if version >= 5:
            put_string(out, self.protocol_type, flexible)
            put_string(out, self.protocol_name, flexible)
        put_count(out, len(self.assignments), flexible)
        for sync_group_request_assignment in self.assignments:
            sync_group_request_assignment.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "SyncGroupRequest":
        self = cls()
        flexible = version >= 4
        self.group_id = r.string(flexible)
        self.generation_id, = r.fixed(_I)
        self.member_id = r.string(flexible)
        if version >= 3:
            self.group_instance_id = r.nullable_string(flexible)
        if version >= 5:
            self.protocol_type = r.nullable_string(flexible)
            self.protocol_name = r.nullable_string(flexible)
        count = r.count(flexible, 2)
        self.assignments = [SyncGroupRequestAssignment.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class SyncGroupResponse:
    """SyncGroup v0-v5, response."""

    API_KEY: ClassVar[int] = 14
    VERSIONS: ClassVar[range] = range(6)
    FLEXIBLE_FROM: ClassVar[int] = 4
    throttle_time_ms: int = 0
    error_code: int = 0
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignment: bytes = b""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        if version >= 1:
            out += _I.pack(self.throttle_time_ms)
        out += _H.pack(self.error_code)
        if version >= 5:
            put_string(out, self.protocol_type, flexible)
            put_string(out, self.protocol_name, flexible)
        put_bytes(out, self.assignment, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "SyncGroupResponse":
        self = cls()
        flexible = version >= 4
        if version >= 1:
            self.throttle_time_ms, = r.fixed(_I)
        self.error_code, = r.fixed(_H)
        if version >= 5:
            self.protocol_type = r.nullable_string(flexible)
            self.protocol_name = r.nullable_string(flexible)
        self.assignment = r.bytes(flexible)
        if flexible:
            r.skip_tags()
        return self
