"""OffsetCommit (key 8). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import UUID_ZERO, Reader, put_count, put_string

_16S = Struct(">16s")
_I = Struct(">i")
_IH = Struct(">ih")
_IQ = Struct(">iq")
_Q = Struct(">q")


@dataclass(slots=True)
class OffsetCommitRequestPartition:
    """`partitions` of OffsetCommitRequestTopic."""

    partition_index: int = 0
    committed_offset: int = 0
    committed_leader_epoch: int = -1
    committed_metadata: str | None = ""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 8
        out += _IQ.pack(self.partition_index, self.committed_offset)
        if version >= 6:
            out += _I.pack(self.committed_leader_epoch)
        put_string(out, self.committed_metadata, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetCommitRequestPartition":
        self = cls()
        flexible = version >= 8
        self.partition_index, self.committed_offset = r.fixed(_IQ)
        if version >= 6:
            self.committed_leader_epoch, = r.fixed(_I)
        self.committed_metadata = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetCommitRequestTopic:
    """`topics` of OffsetCommitRequest."""

    name: str = ""
    topic_id: bytes = UUID_ZERO
    partitions: list[OffsetCommitRequestPartition] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 8
        if version <= 9:
            put_string(out, self.name, flexible)
        if version >= 10:
            out += _16S.pack(self.topic_id)
        put_count(out, len(self.partitions), flexible)
        for offset_commit_request_partition in self.partitions:
            offset_commit_request_partition.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetCommitRequestTopic":
        self = cls()
        flexible = version >= 8
        if version <= 9:
            self.name = r.string(flexible)
        if version >= 10:
            self.topic_id, = r.fixed(_16S)
        count = r.count(flexible, 13)
        self.partitions = [OffsetCommitRequestPartition.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetCommitRequest:
    """OffsetCommit v2-v10, request."""

    API_KEY: ClassVar[int] = 8
    VERSIONS: ClassVar[range] = range(2, 11)
    FLEXIBLE_FROM: ClassVar[int] = 8
    group_id: str = ""
    generation_id_or_member_epoch: int = -1
    member_id: str = ""
    group_instance_id: str | None = None
    retention_time_ms: int = -1
    topics: list[OffsetCommitRequestTopic] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 8
        put_string(out, self.group_id, flexible)
        out += _I.pack(self.generation_id_or_member_epoch)
        put_string(out, self.member_id, flexible)
        if version >= 7:
            put_string(out, self.group_instance_id, flexible)
        if version <= 4:
            out += _Q.pack(self.retention_time_ms)
        put_count(out, len(self.topics), flexible)
        for offset_commit_request_topic in self.topics:
            offset_commit_request_topic.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetCommitRequest":
        self = cls()
        flexible = version >= 8
        self.group_id = r.string(flexible)
        self.generation_id_or_member_epoch, = r.fixed(_I)
        self.member_id = r.string(flexible)
        if version >= 7:
            self.group_instance_id = r.nullable_string(flexible)
        if version <= 4:
            self.retention_time_ms, = r.fixed(_Q)
        count = r.count(flexible, 1)
        self.topics = [OffsetCommitRequestTopic.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetCommitResponsePartition:
    """`partitions` of OffsetCommitResponseTopic."""

    partition_index: int = 0
    error_code: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        out += _IH.pack(self.partition_index, self.error_code)
        if version >= 8:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetCommitResponsePartition":
        self = cls()
        self.partition_index, self.error_code = r.fixed(_IH)
        if version >= 8:
            r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetCommitResponseTopic:
    """`topics` of OffsetCommitResponse."""

    name: str = ""
    topic_id: bytes = UUID_ZERO
    partitions: list[OffsetCommitResponsePartition] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 8
        if version <= 9:
            put_string(out, self.name, flexible)
        if version >= 10:
            out += _16S.pack(self.topic_id)
        put_count(out, len(self.partitions), flexible)
        for offset_commit_response_partition in self.partitions:
            offset_commit_response_partition.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetCommitResponseTopic":
        self = cls()
        flexible = version >= 8
        if version <= 9:
            self.name = r.string(flexible)
        if version >= 10:
            self.topic_id, = r.fixed(_16S)
        count = r.count(flexible, 6)
        self.partitions = [OffsetCommitResponsePartition.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetCommitResponse:
    """OffsetCommit v2-v10, response."""

    API_KEY: ClassVar[int] = 8
    VERSIONS: ClassVar[range] = range(2, 11)
    FLEXIBLE_FROM: ClassVar[int] = 8
    throttle_time_ms: int = 0
    topics: list[OffsetCommitResponseTopic] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 8
        if version >= 3:
            out += _I.pack(self.throttle_time_ms)
        put_count(out, len(self.topics), flexible)
        for offset_commit_response_topic in self.topics:
            offset_commit_response_topic.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetCommitResponse":
        self = cls()
        flexible = version >= 8
        if version >= 3:
            self.throttle_time_ms, = r.fixed(_I)
        count = r.count(flexible, 1)
        self.topics = [OffsetCommitResponseTopic.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
