"""JoinGroup (key 11). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_bytes, put_count, put_string

_T = Struct(">?")
_HI = Struct(">hi")
_I = Struct(">i")


@dataclass(slots=True)
class JoinGroupRequestProtocol:
    """`protocols` of JoinGroupRequest."""

    name: str = ""
    metadata: bytes = b""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        put_string(out, self.name, flexible)
        put_bytes(out, self.metadata, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "JoinGroupRequestProtocol":
        self = cls()
        flexible = version >= 6
        self.name = r.string(flexible)
        self.metadata = r.bytes(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class JoinGroupRequest:
    """JoinGroup v0-v9, request."""

    API_KEY: ClassVar[int] = 11
    VERSIONS: ClassVar[range] = range(10)
    FLEXIBLE_FROM: ClassVar[int] = 6
    group_id: str = ""
    session_timeout_ms: int = 0
    rebalance_timeout_ms: int = -1
    member_id: str = ""
    group_instance_id: str | None = None
    protocol_type: str = ""
    protocols: list[JoinGroupRequestProtocol] = field(default_factory=list)
    reason: str | None = None

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        put_string(out, self.group_id, flexible)
        out += _I.pack(self.session_timeout_ms)
        if version >= 1:
            out += _I.pack(self.rebalance_timeout_ms)
        put_string(out, self.member_id, flexible)
        if version >= 5:
            put_string(out, self.group_instance_id, flexible)
        put_string(out, self.protocol_type, flexible)
        put_count(out, len(self.protocols), flexible)
        for join_group_request_protocol in self.protocols:
            join_group_request_protocol.encode(out, version)
        if version >= 8:
            put_string(out, self.reason, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "JoinGroupRequest":
        self = cls()
        flexible = version >= 6
        self.group_id = r.string(flexible)
        self.session_timeout_ms, = r.fixed(_I)
        if version >= 1:
            self.rebalance_timeout_ms, = r.fixed(_I)
        self.member_id = r.string(flexible)
        if version >= 5:
            self.group_instance_id = r.nullable_string(flexible)
        self.protocol_type = r.string(flexible)
        count = r.count(flexible, 2)
        self.protocols = [JoinGroupRequestProtocol.decode(r, version) for _ in range(count)]
        if version >= 8:
            self.reason = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class JoinGroupResponseMember:
    """`members` of JoinGroupResponse."""

    member_id: str = ""
    group_instance_id: str | None = None
    metadata: bytes = b""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        put_string(out, self.member_id, flexible)
        if version >= 5:
            put_string(out, self.group_instance_id, flexible)
        put_bytes(out, self.metadata, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "JoinGroupResponseMember":
        self = cls()
        flexible = version >= 6
        self.member_id = r.string(flexible)
        if version >= 5:
            self.group_instance_id = r.nullable_string(flexible)
        self.metadata = r.bytes(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class JoinGroupResponse:
    """JoinGroup v0-v9, response."""

    API_KEY: ClassVar[int] = 11
    VERSIONS: ClassVar[range] = range(10)
    FLEXIBLE_FROM: ClassVar[int] = 6
    throttle_time_ms: int = 0
    error_code: int = 0
    generation_id: int = -1
    protocol_type: str | None = None
    protocol_name: str | None = ""
    leader: str = ""
    skip_assignment: bool = False
    member_id: str = ""
    members: list[JoinGroupResponseMember] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        if version >= 2:
            out += _I.pack(self.throttle_time_ms)
        out += _HI.pack(self.error_code, self.generation_id)
        if version >= 7:
            put_string(out, self.protocol_type, flexible)
        put_string(out, self.protocol_name, flexible)
        put_string(out, self.leader, flexible)
        if version >= 9:
            out += _T.pack(self.skip_assignment)
        put_string(out, self.member_id, flexible)
        put_count(out, len(self.members), flexible)
        for join_group_response_member in self.members:
            join_group_response_member.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "JoinGroupResponse":
        self = cls()
        flexible = version >= 6
        if version >= 2:
            self.throttle_time_ms, = r.fixed(_I)
        self.error_code, self.generation_id = r.fixed(_HI)
        if version >= 7:
            self.protocol_type = r.nullable_string(flexible)
        self.protocol_name = r.nullable_string(flexible) if version >= 7 else r.string(flexible)
        self.leader = r.string(flexible)
        if version >= 9:
            self.skip_assignment, = r.fixed(_T)
        self.member_id = r.string(flexible)
        count = r.count(flexible, 2)
        self.members = [JoinGroupResponseMember.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
