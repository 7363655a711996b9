"""OffsetFetch (key 9). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct, pack
from typing import ClassVar

from ..primitives import UUID_ZERO, Reader, put_count, put_string

_16S = Struct(">16s")
_T = Struct(">?")
_H = Struct(">h")
_I = Struct(">i")
_IQ = Struct(">iq")
_IQI = Struct(">iqi")


@dataclass(slots=True)
class OffsetFetchRequestTopic:
    """`topics` of OffsetFetchRequest."""

    name: str = ""
    partition_indexes: list[int] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        put_string(out, self.name, flexible)
        put_count(out, len(self.partition_indexes), flexible)
        out += pack(f">{len(self.partition_indexes)}i", *self.partition_indexes)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchRequestTopic":
        self = cls()
        flexible = version >= 6
        self.name = r.string(flexible)
        count = r.count(flexible, 4)
        self.partition_indexes = list(r.fixed(Struct(f">{count}i")))
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetFetchRequestTopics:
    """`topics` of OffsetFetchRequestGroup."""

    name: str = ""
    topic_id: bytes = UUID_ZERO
    partition_indexes: list[int] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        if version <= 9:
            put_string(out, self.name, True)
        if version >= 10:
            out += _16S.pack(self.topic_id)
        put_count(out, len(self.partition_indexes), True)
        out += pack(f">{len(self.partition_indexes)}i", *self.partition_indexes)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchRequestTopics":
        self = cls()
        if version <= 9:
            self.name = r.string(True)
        if version >= 10:
            self.topic_id, = r.fixed(_16S)
        count = r.count(True, 4)
        self.partition_indexes = list(r.fixed(Struct(f">{count}i")))
        r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetFetchRequestGroup:
    """`groups` of OffsetFetchRequest."""

    group_id: str = ""
    member_id: str | None = None
    member_epoch: int = -1
    topics: list[OffsetFetchRequestTopics] | None = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        put_string(out, self.group_id, True)
        if version >= 9:
            put_string(out, self.member_id, True)
            out += _I.pack(self.member_epoch)
        put_count(out, -1 if self.topics is None else len(self.topics), True)
        if self.topics is not None:
            for offset_fetch_request_topics in self.topics:
                offset_fetch_request_topics.encode(out, version)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchRequestGroup":
        self = cls()
        self.group_id = r.string(True)
        if version >= 9:
            self.member_id = r.nullable_string(True)
            self.member_epoch, = r.fixed(_I)
        count = r.nullable_count(True, 1)
        self.topics = None if count < 0 else [OffsetFetchRequestTopics.decode(r, version) for _ in range(count)]
        r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetFetchRequest:
    """OffsetFetch v1-v10, request."""

    API_KEY: ClassVar[int] = 9
    VERSIONS: ClassVar[range] = range(1, 11)
    FLEXIBLE_FROM: ClassVar[int] = 6
    group_id: str = ""
    topics: list[OffsetFetchRequestTopic] | None = field(default_factory=list)
    groups: list[OffsetFetchRequestGroup] = field(default_factory=list)
    require_stable: bool = False

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        if version <= 7:
            put_string(out, self.group_id, flexible)
            put_count(out, -1 if self.topics is None else len(self.topics), flexible)
            if self.topics is not None:
                for offset_fetch_request_topic in self.topics:
                    offset_fetch_request_topic.encode(out, version)
        if version >= 8:
            put_count(out, len(self.groups), flexible)
            for offset_fetch_request_group in self.groups:
                offset_fetch_request_group.encode(out, version)
        if version >= 7:
            out += _T.pack(self.require_stable)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchRequest":
        self = cls()
        flexible = version >= 6
        if version <= 7:
            self.group_id = r.string(flexible)
            count = r.nullable_count(flexible, 2) if 2 <= version <= 7 else r.count(flexible, 2)
            self.topics = None if count < 0 else [OffsetFetchRequestTopic.decode(r, version) for _ in range(count)]
        if version >= 8:
            count = r.count(flexible, 2)
            self.groups = [OffsetFetchRequestGroup.decode(r, version) for _ in range(count)]
        if version >= 7:
            self.require_stable, = r.fixed(_T)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetFetchResponsePartition:
    """`partitions` of OffsetFetchResponseTopic."""

    partition_index: int = 0
    committed_offset: int = 0
    committed_leader_epoch: int = -1
    metadata: str | None = ""
    error_code: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        out += _IQ.pack(self.partition_index, self.committed_offset)
        if version >= 5:
            out += _I.pack(self.committed_leader_epoch)
        put_string(out, self.metadata, flexible)
        out += _H.pack(self.error_code)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchResponsePartition":
        self = cls()
        flexible = version >= 6
        self.partition_index, self.committed_offset = r.fixed(_IQ)
        if version >= 5:
            self.committed_leader_epoch, = r.fixed(_I)
        self.metadata = r.nullable_string(flexible)
        self.error_code, = r.fixed(_H)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetFetchResponseTopic:
    """`topics` of OffsetFetchResponse."""

    name: str = ""
    partitions: list[OffsetFetchResponsePartition] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        put_string(out, self.name, flexible)
        put_count(out, len(self.partitions), flexible)
        for offset_fetch_response_partition in self.partitions:
            offset_fetch_response_partition.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchResponseTopic":
        self = cls()
        flexible = version >= 6
        self.name = r.string(flexible)
        count = r.count(flexible, 15)
        self.partitions = [OffsetFetchResponsePartition.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetFetchResponsePartitions:
    """`partitions` of OffsetFetchResponseTopics."""

    partition_index: int = 0
    committed_offset: int = 0
    committed_leader_epoch: int = -1
    metadata: str | None = ""
    error_code: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        out += _IQI.pack(self.partition_index, self.committed_offset, self.committed_leader_epoch)
        put_string(out, self.metadata, True)
        out += _H.pack(self.error_code)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchResponsePartitions":
        self = cls()
        self.partition_index, self.committed_offset, self.committed_leader_epoch = r.fixed(_IQI)
        self.metadata = r.nullable_string(True)
        self.error_code, = r.fixed(_H)
        r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetFetchResponseTopics:
    """`topics` of OffsetFetchResponseGroup."""

    name: str = ""
    topic_id: bytes = UUID_ZERO
    partitions: list[OffsetFetchResponsePartitions] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        if version <= 9:
            put_string(out, self.name, True)
        if version >= 10:
            out += _16S.pack(self.topic_id)
        put_count(out, len(self.partitions), True)
        for offset_fetch_response_partitions in self.partitions:
            offset_fetch_response_partitions.encode(out, version)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchResponseTopics":
        self = cls()
        if version <= 9:
            self.name = r.string(True)
        if version >= 10:
            self.topic_id, = r.fixed(_16S)
        count = r.count(True, 19)
        self.partitions = [OffsetFetchResponsePartitions.decode(r, version) for _ in range(count)]
        r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetFetchResponseGroup:
    """`groups` of OffsetFetchResponse."""

    group_id: str = ""
    topics: list[OffsetFetchResponseTopics] = field(default_factory=list)
    error_code: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        put_string(out, self.group_id, True)
        put_count(out, len(self.topics), True)
        for offset_fetch_response_topics in self.topics:
            offset_fetch_response_topics.encode(out, version)
        out += _H.pack(self.error_code)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchResponseGroup":
        self = cls()
        self.group_id = r.string(True)
        count = r.count(True, 1)
        self.topics = [OffsetFetchResponseTopics.decode(r, version) for _ in range(count)]
        self.error_code, = r.fixed(_H)
        r.skip_tags()
        return self


@dataclass(slots=True)
class OffsetFetchResponse:
    """OffsetFetch v1-v10, response."""

    API_KEY: ClassVar[int] = 9
    VERSIONS: ClassVar[range] = range(1, 11)
    FLEXIBLE_FROM: ClassVar[int] = 6
    throttle_time_ms: int = 0
    topics: list[OffsetFetchResponseTopic] = field(default_factory=list)
    error_code: int = 0
    groups: list[OffsetFetchResponseGroup] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 6
        if version >= 3:
            out += _I.pack(self.throttle_time_ms)
        if version <= 7:
            put_count(out, len(self.topics), flexible)
            for offset_fetch_response_topic in self.topics:
                offset_fetch_response_topic.encode(out, version)
        if 2 <= version <= 7:
            out += _H.pack(self.error_code)
        if version >= 8:
            put_count(out, len(self.groups), flexible)
            for offset_fetch_response_group in self.groups:
                offset_fetch_response_group.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "OffsetFetchResponse":
        self = cls()
        flexible = version >= 6
        if version >= 3:
            self.throttle_time_ms, = r.fixed(_I)
        if version <= 7:
            count = r.count(flexible, 2)
            self.topics = [OffsetFetchResponseTopic.decode(r, version) for _ in range(count)]
        if 2 <= version <= 7:
            self.error_code, = r.fixed(_H)
        if version >= 8:
            count = r.count(flexible, 4)
            self.groups = [OffsetFetchResponseGroup.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
