"""Fetch (key 1). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct, pack
from typing import ClassVar

from ..primitives import UUID_ZERO, Reader, put_bytes, put_count, put_string, put_tags

_16S = Struct(">16s")
_HI = Struct(">hi")
_I = Struct(">i")
_IHQQ = Struct(">ihqq")
_II = Struct(">ii")
_IIIB = Struct(">iiib")
_IQ = Struct(">iq")
_Q = Struct(">q")
_QI = Struct(">qi")
_QQ = Struct(">qq")


@dataclass(slots=True)
class ReplicaState:
    """`replica_state` of FetchRequest."""

    replica_id: int = -1
    replica_epoch: int = -1

    def encode(self, out: bytearray, version: int) -> None:
        out += _IQ.pack(self.replica_id, self.replica_epoch)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ReplicaState":
        self = cls()
        self.replica_id, self.replica_epoch = r.fixed(_IQ)
        r.skip_tags()
        return self


@dataclass(slots=True)
class FetchPartition:
    """`partitions` of FetchTopic."""

    partition: int = 0
    current_leader_epoch: int = -1
    fetch_offset: int = 0
    last_fetched_epoch: int = -1
    log_start_offset: int = -1
    partition_max_bytes: int = 0
    replica_directory_id: bytes = UUID_ZERO
    high_watermark: int = 9223372036854775807

    def encode(self, out: bytearray, version: int) -> None:
        out += _I.pack(self.partition)
        if version >= 9:
            out += _I.pack(self.current_leader_epoch)
        out += _Q.pack(self.fetch_offset)
        if version >= 12:
            out += _I.pack(self.last_fetched_epoch)
        if version >= 5:
            out += _Q.pack(self.log_start_offset)
        out += _I.pack(self.partition_max_bytes)
        if version >= 12:
            tags = []
            if version >= 17 and self.replica_directory_id != UUID_ZERO:
                value = bytearray()
                value += _16S.pack(self.replica_directory_id)
                tags.append((0, value))
            if version >= 18 and self.high_watermark != 9223372036854775807:
                value = bytearray()
                value += _Q.pack(self.high_watermark)
                tags.append((1, value))
            put_tags(out, tags)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "FetchPartition":
        self = cls()
        self.partition, = r.fixed(_I)
        if version >= 9:
            self.current_leader_epoch, = r.fixed(_I)
        self.fetch_offset, = r.fixed(_Q)
        if version >= 12:
            self.last_fetched_epoch, = r.fixed(_I)
        if version >= 5:
            self.log_start_offset, = r.fixed(_Q)
        self.partition_max_bytes, = r.fixed(_I)
        if version >= 12:
            for tag in r.tags():
                if tag == 0 and version >= 17:
                    self.replica_directory_id, = r.fixed(_16S)
                elif tag == 1 and version >= 18:
                    self.high_watermark, = r.fixed(_Q)
        return self


@dataclass(slots=True)
class FetchTopic:
    """`topics` of FetchRequest."""

    topic: str = ""
    topic_id: bytes = UUID_ZERO
    partitions: list[FetchPartition] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 12
        if version <= 12:
            put_string(out, self.topic, flexible)
        if version >= 13:
            out += _16S.pack(self.topic_id)
        put_count(out, len(self.partitions), flexible)
        for fetch_partition in self.partitions:
            fetch_partition.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "FetchTopic":
        self = cls()
        flexible = version >= 12
        if version <= 12:
            self.topic = r.string(flexible)
        if version >= 13:
            self.topic_id, = r.fixed(_16S)
        count = r.count(flexible, 16)
        self.partitions = [FetchPartition.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class ForgottenTopic:
    """`forgotten_topics_data` of FetchRequest."""

    topic: str = ""
    topic_id: bytes = UUID_ZERO
    partitions: list[int] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 12
        if version <= 12:
            put_string(out, self.topic, flexible)
        if version >= 13:
            out += _16S.pack(self.topic_id)
        put_count(out, len(self.partitions), flexible)
        out += pack(f">{len(self.partitions)}i", *self.partitions)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ForgottenTopic":
        self = cls()
        flexible = version >= 12
        if version <= 12:
            self.topic = r.string(flexible)
        if version >= 13:
            self.topic_id, = r.fixed(_16S)
        count = r.count(flexible, 4)
        self.partitions = list(r.fixed(Struct(f">{count}i")))
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class FetchRequest:
    """Fetch v4-v18, request."""

    API_KEY: ClassVar[int] = 1
    VERSIONS: ClassVar[range] = range(4, 19)
    FLEXIBLE_FROM: ClassVar[int] = 12
    cluster_id: str | None = None
    replica_id: int = -1
    replica_state: ReplicaState = field(default_factory=ReplicaState)
    max_wait_ms: int = 0
    min_bytes: int = 0
    max_bytes: int = 2147483647
    isolation_level: int = 0
    session_id: int = 0
    session_epoch: int = -1
    topics: list[FetchTopic] = field(default_factory=list)
    forgotten_topics_data: list[ForgottenTopic] = field(default_factory=list)
    rack_id: str = ""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 12
        if version <= 14:
            out += _I.pack(self.replica_id)
        out += _IIIB.pack(self.max_wait_ms, self.min_bytes, self.max_bytes, self.isolation_level)
        if version >= 7:
            out += _II.pack(self.session_id, self.session_epoch)
        put_count(out, len(self.topics), flexible)
        for fetch_topic in self.topics:
            fetch_topic.encode(out, version)
        if version >= 7:
            put_count(out, len(self.forgotten_topics_data), flexible)
            for forgotten_topic in self.forgotten_topics_data:
                forgotten_topic.encode(out, version)
        if version >= 11:
            put_string(out, self.rack_id, flexible)
        if flexible:
            tags = []
            if self.cluster_id is not None:
                value = bytearray()
                put_string(value, self.cluster_id, True)
                tags.append((0, value))
            if version >= 15 and self.replica_state != ReplicaState():
                value = bytearray()
                self.replica_state.encode(value, version)
                tags.append((1, value))
            put_tags(out, tags)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "FetchRequest":
        self = cls()
        flexible = version >= 12
        if version <= 14:
            self.replica_id, = r.fixed(_I)
        self.max_wait_ms, self.min_bytes, self.max_bytes, self.isolation_level = r.fixed(_IIIB)
        if version >= 7:
            self.session_id, self.session_epoch = r.fixed(_II)
        count = r.count(flexible, 1)
        self.topics = [FetchTopic.decode(r, version) for _ in range(count)]
        if version >= 7:
            count = r.count(flexible, 1)
            self.forgotten_topics_data = [ForgottenTopic.decode(r, version) for _ in range(count)]
        if version >= 11:
            self.rack_id = r.string(flexible)
        if flexible:
            for tag in r.tags():
                if tag == 0:
                    self.cluster_id = r.nullable_string(True)
                elif tag == 1 and version >= 15:
                    self.replica_state = ReplicaState.decode(r, version)
        return self


@dataclass(slots=True)
class EpochEndOffset:
    """`diverging_epoch` of PartitionData."""

    epoch: int = -1
    end_offset: int = -1

    def encode(self, out: bytearray, version: int) -> None:
        out += _IQ.pack(self.epoch, self.end_offset)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "EpochEndOffset":
        self = cls()
        self.epoch, self.end_offset = r.fixed(_IQ)
        r.skip_tags()
        return self


@dataclass(slots=True)
class LeaderIdAndEpoch:
    """`current_leader` of PartitionData."""

    leader_id: int = -1
    leader_epoch: int = -1

    def encode(self, out: bytearray, version: int) -> None:
        out += _II.pack(self.leader_id, self.leader_epoch)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "LeaderIdAndEpoch":
        self = cls()
        self.leader_id, self.leader_epoch = r.fixed(_II)
        r.skip_tags()
        return self


@dataclass(slots=True)
class SnapshotId:
    """`snapshot_id` of PartitionData."""

    end_offset: int = -1
    epoch: int = -1

    def encode(self, out: bytearray, version: int) -> None:
        out += _QI.pack(self.end_offset, self.epoch)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "SnapshotId":
        self = cls()
        self.end_offset, self.epoch = r.fixed(_QI)
        r.skip_tags()
        return self


@dataclass(slots=True)
class AbortedTransaction:
    """`aborted_transactions` of PartitionData."""

    producer_id: int = 0
    first_offset: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        out += _QQ.pack(self.producer_id, self.first_offset)
        if version >= 12:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "AbortedTransaction":
        self = cls()
        self.producer_id, self.first_offset = r.fixed(_QQ)
        if version >= 12:
            r.skip_tags()
        return self


@dataclass(slots=True)
class PartitionData:
    """`partitions` of FetchableTopicResponse."""

    partition_index: int = 0
    error_code: int = 0
    high_watermark: int = 0
    last_stable_offset: int = -1
    log_start_offset: int = -1
    diverging_epoch: EpochEndOffset = field(default_factory=EpochEndOffset)
    current_leader: LeaderIdAndEpoch = field(default_factory=LeaderIdAndEpoch)
    snapshot_id: SnapshotId = field(default_factory=SnapshotId)
    aborted_transactions: list[AbortedTransaction] | None = field(default_factory=list)
    preferred_read_replica: int = -1
    records: bytes | None = b""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 12
        out += _IHQQ.pack(self.partition_index, self.error_code, self.high_watermark, self.last_stable_offset)
        if version >= 5:
            out += _Q.pack(self.log_start_offset)
        put_count(out, -1 if self.aborted_transactions is None else len(self.aborted_transactions), flexible)
        if self.aborted_transactions is not None:
            for aborted_transaction in self.aborted_transactions:
                aborted_transaction.encode(out, version)
        if version >= 11:
            out += _I.pack(self.preferred_read_replica)
        put_bytes(out, self.records, flexible)
        if flexible:
            tags = []
            if self.diverging_epoch != EpochEndOffset():
                value = bytearray()
                self.diverging_epoch.encode(value, version)
                tags.append((0, value))
            if self.current_leader != LeaderIdAndEpoch():
                value = bytearray()
                self.current_leader.encode(value, version)
                tags.append((1, value))
            if self.snapshot_id != SnapshotId():
                value = bytearray()
                self.snapshot_id.encode(value, version)
                tags.append((2, value))
            put_tags(out, tags)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "PartitionData":
        self = cls()
        flexible = version >= 12
        self.partition_index, self.error_code, self.high_watermark, self.last_stable_offset = r.fixed(_IHQQ)
        if version >= 5:
            self.log_start_offset, = r.fixed(_Q)
        count = r.nullable_count(flexible, 16)
        self.aborted_transactions = None if count < 0 else [AbortedTransaction.decode(r, version) for _ in range(count)]
        if version >= 11:
            self.preferred_read_replica, = r.fixed(_I)
        self.records = r.nullable_bytes(flexible)
        if flexible:
            for tag in r.tags():
                if tag == 0:
                    self.diverging_epoch = EpochEndOffset.decode(r, version)
                elif tag == 1:
                    self.current_leader = LeaderIdAndEpoch.decode(r, version)
                elif tag == 2:
                    self.snapshot_id = SnapshotId.decode(r, version)
        return self


@dataclass(slots=True)
class FetchableTopicResponse:
    """`responses` of FetchResponse."""

    topic: str = ""
    topic_id: bytes = UUID_ZERO
    partitions: list[PartitionData] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 12
        if version <= 12:
            put_string(out, self.topic, flexible)
        if version >= 13:
            out += _16S.pack(self.topic_id)
        put_count(out, len(self.partitions), flexible)
        for partition_data in self.partitions:
            partition_data.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "FetchableTopicResponse":
        self = cls()
        flexible = version >= 12
        if version <= 12:
            self.topic = r.string(flexible)
        if version >= 13:
            self.topic_id, = r.fixed(_16S)
        count = r.count(flexible, 24)
        self.partitions = [PartitionData.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class NodeEndpoint:
    """`node_endpoints` of FetchResponse."""

    node_id: int = 0
    host: str = ""
    port: int = 0
    rack: str | None = None

    def encode(self, out: bytearray, version: int) -> None:
        out += _I.pack(self.node_id)
        put_string(out, self.host, True)
        out += _I.pack(self.port)
        put_string(out, self.rack, True)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "NodeEndpoint":
        self = cls()
        self.node_id, = r.fixed(_I)
        self.host = r.string(True)
        self.port, = r.fixed(_I)
        self.rack = r.nullable_string(True)
        r.skip_tags()
        return self


@dataclass(slots=True)
class FetchResponse:
    """Fetch v4-v18, response."""

    API_KEY: ClassVar[int] = 1
    VERSIONS: ClassVar[range] = range(4, 19)
    FLEXIBLE_FROM: ClassVar[int] = 12
    throttle_time_ms: int = 0
    error_code: int = 0
    session_id: int = 0
    responses: list[FetchableTopicResponse] = field(default_factory=list)
    node_endpoints: list[NodeEndpoint] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 12
        out += _I.pack(self.throttle_time_ms)
        if version >= 7:
            out += _HI.pack(self.error_code, self.session_id)
        put_count(out, len(self.responses), flexible)
        for fetchable_topic_response in self.responses:
            fetchable_topic_response.encode(out, version)
        if flexible:
            tags = []
            if version >= 16 and self.node_endpoints:
                value = bytearray()
                put_count(value, len(self.node_endpoints), True)
                for node_endpoint in self.node_endpoints:
                    node_endpoint.encode(value, version)
                tags.append((0, value))
            put_tags(out, tags)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "FetchResponse":
        self = cls()
        flexible = version >= 12
        self.throttle_time_ms, = r.fixed(_I)
        if version >= 7:
            self.error_code, self.session_id = r.fixed(_HI)
        count = r.count(flexible, 1)
        self.responses = [FetchableTopicResponse.decode(r, version) for _ in range(count)]
        if flexible:
            for tag in r.tags():
                if tag == 0 and version >= 16:
                    count = r.count(True, 10)
                    self.node_endpoints = [NodeEndpoint.decode(r, version) for _ in range(count)]
        return self
