"""Metadata (key 3). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct, pack
from typing import ClassVar

from ..primitives import UUID_ZERO, Reader, put_count, put_string

_16S = Struct(">16s")
_T = Struct(">?")
_H = Struct(">h")
_HII = Struct(">hii")
_I = Struct(">i")


@dataclass(slots=True)
class MetadataRequestTopic:
    """`topics` of MetadataRequest."""

    topic_id: bytes = UUID_ZERO
    name: str | None = ""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        if version >= 10:
            out += _16S.pack(self.topic_id)
        put_string(out, self.name, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "MetadataRequestTopic":
        self = cls()
        flexible = version >= 9
        if version >= 10:
            self.topic_id, = r.fixed(_16S)
        self.name = r.nullable_string(flexible) if version >= 10 else r.string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class MetadataRequest:
    """Metadata v0-v13, request."""

    API_KEY: ClassVar[int] = 3
    VERSIONS: ClassVar[range] = range(14)
    FLEXIBLE_FROM: ClassVar[int] = 9
    topics: list[MetadataRequestTopic] | None = field(default_factory=list)
    allow_auto_topic_creation: bool = True
    include_cluster_authorized_operations: bool = False
    include_topic_authorized_operations: bool = False

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        put_count(out, -1 if self.topics is None else len(self.topics), flexible)
        if self.topics is not None:
            for metadata_request_topic in self.topics:
                metadata_request_topic.encode(out, version)
        if version >= 4:
            out += _T.pack(self.allow_auto_topic_creation)
        if 8 <= version <= 10:
            out += _T.pack(self.include_cluster_authorized_operations)
        if version >= 8:
            out += _T.pack(self.include_topic_authorized_operations)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "MetadataRequest":
        self = cls()
        flexible = version >= 9
        count = r.nullable_count(flexible, 1) if version >= 1 else r.count(flexible, 1)
        self.topics = None if count < 0 else [MetadataRequestTopic.decode(r, version) for _ in range(count)]
        if version >= 4:
            self.allow_auto_topic_creation, = r.fixed(_T)
        if 8 <= version <= 10:
            self.include_cluster_authorized_operations, = r.fixed(_T)
        if version >= 8:
            self.include_topic_authorized_operations, = r.fixed(_T)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class MetadataResponseBroker:
    """`brokers` of MetadataResponse."""

    node_id: int = 0
    host: str = ""
    port: int = 0
    rack: str | None = None

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        out += _I.pack(self.node_id)
        put_string(out, self.host, flexible)
        out += _I.pack(self.port)
        if version >= 1:
            put_string(out, self.rack, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "MetadataResponseBroker":
        self = cls()
        flexible = version >= 9
        self.node_id, = r.fixed(_I)
        self.host = r.string(flexible)
        self.port, = r.fixed(_I)
        if version >= 1:
            self.rack = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class MetadataResponsePartition:
    """`partitions` of MetadataResponseTopic."""

    error_code: int = 0
    partition_index: int = 0
    leader_id: int = 0
    leader_epoch: int = -1
    replica_nodes: list[int] = field(default_factory=list)
    isr_nodes: list[int] = field(default_factory=list)
    offline_replicas: list[int] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        out += _HII.pack(self.error_code, self.partition_index, self.leader_id)
        if version >= 7:
            out += _I.pack(self.leader_epoch)
        put_count(out, len(self.replica_nodes), flexible)
        out += pack(f">{len(self.replica_nodes)}i", *self.replica_nodes)
        put_count(out, len(self.isr_nodes), flexible)
        out += pack(f">{len(self.isr_nodes)}i", *self.isr_nodes)
        if version >= 5:
            put_count(out, len(self.offline_replicas), flexible)
            out += pack(f">{len(self.offline_replicas)}i", *self.offline_replicas)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "MetadataResponsePartition":
        self = cls()
        flexible = version >= 9
        self.error_code, self.partition_index, self.leader_id = r.fixed(_HII)
        if version >= 7:
            self.leader_epoch, = r.fixed(_I)
        count = r.count(flexible, 4)
        self.replica_nodes = list(r.fixed(Struct(f">{count}i")))
        count = r.count(flexible, 4)
        self.isr_nodes = list(r.fixed(Struct(f">{count}i")))
        if version >= 5:
            count = r.count(flexible, 4)
            self.offline_replicas = list(r.fixed(Struct(f">{count}i")))
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class MetadataResponseTopic:
    """`topics` of MetadataResponse."""

    error_code: int = 0
    name: str | None = ""
    topic_id: bytes = UUID_ZERO
    is_internal: bool = False
    partitions: list[MetadataResponsePartition] = field(default_factory=list)
    topic_authorized_operations: int = -2147483648

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        out += _H.pack(self.error_code)
        put_string(out, self.name, flexible)
        if version >= 10:
            out += _16S.pack(self.topic_id)
        if version >= 1:
            out += _T.pack(self.is_internal)
        put_count(out, len(self.partitions), flexible)
        for metadata_response_partition in self.partitions:
            metadata_response_partition.encode(out, version)
        if version >= 8:
            out += _I.pack(self.topic_authorized_operations)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "MetadataResponseTopic":
        self = cls()
        flexible = version >= 9
        self.error_code, = r.fixed(_H)
        self.name = r.nullable_string(flexible) if version >= 12 else r.string(flexible)
        if version >= 10:
            self.topic_id, = r.fixed(_16S)
        if version >= 1:
            self.is_internal, = r.fixed(_T)
        count = r.count(flexible, 12)
        self.partitions = [MetadataResponsePartition.decode(r, version) for _ in range(count)]
        if version >= 8:
            self.topic_authorized_operations, = r.fixed(_I)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class MetadataResponse:
    """Metadata v0-v13, response."""

    API_KEY: ClassVar[int] = 3
    VERSIONS: ClassVar[range] = range(14)
    FLEXIBLE_FROM: ClassVar[int] = 9
    throttle_time_ms: int = 0
    brokers: list[MetadataResponseBroker] = field(default_factory=list)
    cluster_id: str | None = None
    controller_id: int = -1
    topics: list[MetadataResponseTopic] = field(default_factory=list)
    cluster_authorized_operations: int = -2147483648
    error_code: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        if version >= 3:
            out += _I.pack(self.throttle_time_ms)
        put_count(out, len(self.brokers), flexible)
        for metadata_response_broker in self.brokers:
            metadata_response_broker.encode(out, version)
        if version >= 2:
            put_string(out, self.cluster_id, flexible)
        if version >= 1:
            out += _I.pack(self.controller_id)
        put_count(out, len(self.topics), flexible)
        for metadata_response_topic in self.topics:
            metadata_response_topic.encode(out, version)
        if 8 <= version <= 10:
            out += _I.pack(self.cluster_authorized_operations)
        if version >= 13:
            out += _H.pack(self.error_code)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "MetadataResponse":
        self = cls()
        flexible = version >= 9
        if version >= 3:
            self.throttle_time_ms, = r.fixed(_I)
        count = r.count(flexible, 9)
        self.brokers = [MetadataResponseBroker.decode(r, version) for _ in range(count)]
        if version >= 2:
            self.cluster_id = r.nullable_string(flexible)
        if version >= 1:
            self.controller_id, = r.fixed(_I)
        count = r.count(flexible, 4)
        self.topics = [MetadataResponseTopic.decode(r, version) for _ in range(count)]
        if 8 <= version <= 10:
            self.cluster_authorized_operations, = r.fixed(_I)
        if version >= 13:
            self.error_code, = r.fixed(_H)
        if flexible:
            r.skip_tags()
        return self
