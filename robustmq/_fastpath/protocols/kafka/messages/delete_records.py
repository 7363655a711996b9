"""DeleteRecords (key 21). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_count, put_string

_I = Struct(">i")
_IQ = Struct(">iq")
_IQH = Struct(">iqh")


@dataclass(slots=True)
class DeleteRecordsPartition:
    """`partitions` of DeleteRecordsTopic."""

    partition_index: int = 0
    offset: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        out += _IQ.pack(self.partition_index, self.offset)
        if version >= 2:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeleteRecordsPartition":
        self = cls()
        self.partition_index, self.offset = r.fixed(_IQ)
        if version >= 2:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DeleteRecordsTopic:
    """`topics` of DeleteRecordsRequest."""

    name: str = ""
    partitions: list[DeleteRecordsPartition] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        put_string(out, self.name, flexible)
        put_count(out, len(self.partitions), flexible)
        for delete_records_partition in self.partitions:
            delete_records_partition.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeleteRecordsTopic":
        self = cls()
        flexible = version >= 2
        self.name = r.string(flexible)
        count = r.count(flexible, 12)
        self.partitions = [DeleteRecordsPartition.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DeleteRecordsRequest:
    """DeleteRecords v0-v2, request."""

    API_KEY: ClassVar[int] = 21
    VERSIONS: ClassVar[range] = range(3)
    FLEXIBLE_FROM: ClassVar[int] = 2
    topics: list[DeleteRecordsTopic] = field(default_factory=list)
    timeout_ms: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        put_count(out, len(self.topics), flexible)
        for delete_records_topic in self.topics:
            delete_records_topic.encode(out, version)
        out += _I.pack(self.timeout_ms)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeleteRecordsRequest":
        self = cls()
        flexible = version >= 2
        count = r.count(flexible, 2)
        self.topics = [DeleteRecordsTopic.decode(r, version) for _ in range(count)]
        self.timeout_ms, = r.fixed(_I)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DeleteRecordsPartitionResult:
    """`partitions` of DeleteRecordsTopicResult."""

    partition_index: int = 0
    low_watermark: int = 0
    error_code: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        out += _IQH.pack(self.partition_index, self.low_watermark, self.error_code)
        if version >= 2:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeleteRecordsPartitionResult":
        self = cls()
        self.partition_index, self.low_watermark, self.error_code = r.fixed(_IQH)
        if version >= 2:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DeleteRecordsTopicResult:
    """`topics` of DeleteRecordsResponse."""

    name: str = ""
    partitions: list[DeleteRecordsPartitionResult] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        put_string(out, self.name, flexible)
        put_count(out, len(self.partitions), flexible)
        for delete_records_partition_result in self.partitions:
            delete_records_partition_result.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeleteRecordsTopicResult":
        self = cls()
        flexible = version >= 2
        self.name = r.string(flexible)
        count = r.count(flexible, 14)
        self.partitions = [DeleteRecordsPartitionResult.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DeleteRecordsResponse:
    """DeleteRecords v0-v2, response."""

    API_KEY: ClassVar[int] = 21
    VERSIONS: ClassVar[range] = range(3)
    FLEXIBLE_FROM: ClassVar[int] = 2
    throttle_time_ms: int = 0
    topics: list[DeleteRecordsTopicResult] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        out += _I.pack(self.throttle_time_ms)
        put_count(out, len(self.topics), flexible)
        for delete_records_topic_result in self.topics:
            delete_records_topic_result.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeleteRecordsResponse":
        self = cls()
        flexible = version >= 2
        self.throttle_time_ms, = r.fixed(_I)
        count = r.count(flexible, 2)
        self.topics = [DeleteRecordsTopicResult.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
