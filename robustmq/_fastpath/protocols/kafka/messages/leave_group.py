"""LeaveGroup (key 13). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_count, put_string

_H = Struct(">h")
_I = Struct(">i")


@dataclass(slots=True)
class MemberIdentity:
    """`members` of LeaveGroupRequest."""

    member_id: str = ""
    group_instance_id: str | None = None
    reason: str | None = None

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_string(out, self.member_id, flexible)
        put_string(out, self.group_instance_id, flexible)
        if version >= 5:
            put_string(out, self.reason, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "MemberIdentity":
        self = cls()
        flexible = version >= 4
        self.member_id = r.string(flexible)
        self.group_instance_id = r.nullable_string(flexible)
        if version >= 5:
            self.reason = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class LeaveGroupRequest:
    """LeaveGroup v0-v5, request."""

    API_KEY: ClassVar[int] = 13
    VERSIONS: ClassVar[range] = range(6)
    FLEXIBLE_FROM: ClassVar[int] = 4
    group_id: str = ""
    member_id: str = ""
    members: list[MemberIdentity] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_string(out, self.group_id, flexible)
        if version <= 2:
            put_string(out, self.member_id, flexible)
        if version >= 3:
            put_count(out, len(self.members), flexible)
            for member_identity in self.members:
                member_identity.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "LeaveGroupRequest":
        self = cls()
        flexible = version >= 4
        self.group_id = r.string(flexible)
        if version <= 2:
            self.member_id = r.string(flexible)
        if version >= 3:
            count = r.count(flexible, 2)
            self.members = [MemberIdentity.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class MemberResponse:
    """`members` of LeaveGroupResponse."""

    member_id: str = ""
    group_instance_id: str | None = ""
    error_code: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_string(out, self.member_id, flexible)
        put_string(out, self.group_instance_id, flexible)
        out += _H.pack(self.error_code)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "MemberResponse":
        self = cls()
        flexible = version >= 4
        self.member_id = r.string(flexible)
        self.group_instance_id = r.nullable_string(flexible)
        self.error_code, = r.fixed(_H)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class LeaveGroupResponse:
    """LeaveGroup v0-v5, response."""

    API_KEY: ClassVar[int] = 13
    VERSIONS: ClassVar[range] = range(6)
    FLEXIBLE_FROM: ClassVar[int] = 4
    throttle_time_ms: int = 0
    error_code: int = 0
    members: list[MemberResponse] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        if version >= 1:
            out += _I.pack(self.throttle_time_ms)
        out += _H.pack(self.error_code)
        if version >= 3:
            put_count(out, len(self.members), flexible)
            for member_response in self.members:
                member_response.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "LeaveGroupResponse":
        self = cls()
        flexible = version >= 4
        if version >= 1:
            self.throttle_time_ms, = r.fixed(_I)
        self.error_code, = r.fixed(_H)
        if version >= 3:
            count = r.count(flexible, 4)
            self.members = [MemberResponse.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
