"""ListOffsets (key 2). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_count, put_string

_B = Struct(">b")
_I = Struct(">i")
_IHQQ = Struct(">ihqq")
_Q = Struct(">q")


@dataclass(slots=True)
class ListOffsetsPartition:
    """`partitions` of ListOffsetsTopic."""

    partition_index: int = 0
    current_leader_epoch: int = -1
    timestamp: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        out += _I.pack(self.partition_index)
        if version >= 4:
            out += _I.pack(self.current_leader_epoch)
        out += _Q.pack(self.timestamp)
        if version >= 6:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ListOffsetsPartition":
        self = cls()
        self.partition_index, = r.fixed(_I)
        if version >= 4:
            self.current_leader_epoch, = r.fixed(_I)
        self.timestamp, = r.fixed(_Q)
        if version >= 6:
            r.skip_tags()
        return self


@dataclass(slots=True)
class ListOffsetsTopic:
    """`topics` of ListOffsetsRequest."""

    name: str = ""
    partitions: list[ListOffsetsPartition] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        put_string(out, self.name, flexible)
        put_count(out, len(self.partitions), flexible)
        for list_offsets_partition in self.partitions:
            list_offsets_partition.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ListOffsetsTopic":
        self = cls()
        flexible = version >= 6
        self.name = r.string(flexible)
        count = r.count(flexible, 12)
        self.partitions = [ListOffsetsPartition.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class ListOffsetsRequest:
    """ListOffsets v1-v11, request."""

    API_KEY: ClassVar[int] = 2
    VERSIONS: ClassVar[range] = range(1, 12)
    FLEXIBLE_FROM: ClassVar[int] = 6
    replica_id: int = 0
    isolation_level: int = 0
    topics: list[ListOffsetsTopic] = field(default_factory=list)
    timeout_ms: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        out += _I.pack(self.replica_id)
        if version >= 2:
            out += _B.pack(self.isolation_level)
        put_count(out, len(self.topics), flexible)
        for list_offsets_topic in self.topics:
            list_offsets_topic.encode(out, version)
        if version >= 10:
            out += _I.pack(self.timeout_ms)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ListOffsetsRequest":
        self = cls()
        flexible = version >= 6
        self.replica_id, = r.fixed(_I)
        if version >= 2:
            self.isolation_level, = r.fixed(_B)
        count = r.count(flexible, 2)
        self.topics = [ListOffsetsTopic.decode(r, version) for _ in range(count)]
        if version >= 10:
            self.timeout_ms, = r.fixed(_I)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class ListOffsetsPartitionResponse:
    """`partitions` of ListOffsetsTopicResponse."""

    partition_index: int = 0
    error_code: int = 0
    timestamp: int = -1
    offset: int = -1
    leader_epoch: int = -1

    def encode(self, out: bytearray, version: int) -> None:
        out += _IHQQ.pack(self.partition_index, self.error_code, self.timestamp, self.offset)
        if version >= 4:
            out += _I.pack(self.leader_epoch)
        if version >= 6:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ListOffsetsPartitionResponse":
        self = cls()
        self.partition_index, self.error_code, self.timestamp, self.offset = r.fixed(_IHQQ)
        if version >= 4:
            self.leader_epoch, = r.fixed(_I)
        if version >= 6:
            r.skip_tags()
        return self


@dataclass(slots=True)
class ListOffsetsTopicResponse:
    """`topics` of ListOffsetsResponse."""

    name: str = ""
    partitions: list[ListOffsetsPartitionResponse] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        put_string(out, self.name, flexible)
        put_count(out, len(self.partitions), flexible)
        for list_offsets_partition_response in self.partitions:
            list_offsets_partition_response.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ListOffsetsTopicResponse":
        self = cls()
        flexible = version >= 6
        self.name = r.string(flexible)
        count = r.count(flexible, 22)
        self.partitions = [ListOffsetsPartitionResponse.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class ListOffsetsResponse:
    """ListOffsets v1-v11, response."""

    API_KEY: ClassVar[int] = 2
    VERSIONS: ClassVar[range] = range(1, 12)
    FLEXIBLE_FROM: ClassVar[int] = 6
    throttle_time_ms: int = 0
    topics: list[ListOffsetsTopicResponse] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        if version >= 2:
            out += _I.pack(self.throttle_time_ms)
        put_count(out, len(self.topics), flexible)
        for list_offsets_topic_response in self.topics:
            list_offsets_topic_response.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ListOffsetsResponse":
        self = cls()
        flexible = version >= 6
        if version >= 2:
            self.throttle_time_ms, = r.fixed(_I)
        count = r.count(flexible, 2)
        self.topics = [ListOffsetsTopicResponse.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
