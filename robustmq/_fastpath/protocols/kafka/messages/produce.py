"""Produce (key 0). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import UUID_ZERO, Reader, put_bytes, put_count, put_string, put_tags

_16S = Struct(">16s")
_HI = Struct(">hi")
_I = Struct(">i")
_IHQQ = Struct(">ihqq")
_II = Struct(">ii")
_Q = Struct(">q")


@dataclass(slots=True)
class PartitionProduceData:
    """`partition_data` of TopicProduceData."""

    index: int = 0
    records: bytes | None = b""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        out += _I.pack(self.index)
        put_bytes(out, self.records, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "PartitionProduceData":
        self = cls()
        flexible = version >= 9
        self.index, = r.fixed(_I)
        self.records = r.nullable_bytes(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class TopicProduceData:
    """`topic_data` of ProduceRequest."""

    name: str = ""
    topic_id: bytes = UUID_ZERO
    partition_data: list[PartitionProduceData] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        if version <= 12:
            put_string(out, self.name, flexible)
        if version >= 13:
            out += _16S.pack(self.topic_id)
        put_count(out, len(self.partition_data), flexible)
        for partition_produce_data in self.partition_data:
            partition_produce_data.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "TopicProduceData":
        self = cls()
        flexible = version >= 9
        if version <= 12:
            self.name = r.string(flexible)
        if version >= 13:
            self.topic_id, = r.fixed(_16S)
        count = r.count(flexible, 5)
        self.partition_data = [PartitionProduceData.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class ProduceRequest:
    """Produce v3-v13, request."""

    API_KEY: ClassVar[int] = 0
    VERSIONS: ClassVar[range] = range(3, 14)
    FLEXIBLE_FROM: ClassVar[int] = 9
    transactional_id: str | None = None
    acks: int = 0
    timeout_ms: int = 0
    topic_data: list[TopicProduceData] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        put_string(out, self.transactional_id, flexible)
        out += _HI.pack(self.acks, self.timeout_ms)
        put_count(out, len(self.topic_data), flexible)
        for topic_produce_data in self.topic_data:
            topic_produce_data.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ProduceRequest":
        self = cls()
        flexible = version >= 9
        self.transactional_id = r.nullable_string(flexible)
        self.acks, self.timeout_ms = r.fixed(_HI)
        count = r.count(flexible, 1)
        self.topic_data = [TopicProduceData.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class BatchIndexAndErrorMessage:
    """`record_errors` of PartitionProduceResponse."""

    batch_index: int = 0
    batch_index_error_message: str | None = None

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        out += _I.pack(self.batch_index)
        put_string(out, self.batch_index_error_message, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "BatchIndexAndErrorMessage":
        self = cls()
        flexible = version >= 9
        self.batch_index, = r.fixed(_I)
        self.batch_index_error_message = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class LeaderIdAndEpoch:
    """`current_leader` of PartitionProduceResponse."""

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
class PartitionProduceResponse:
    """`partition_responses` of TopicProduceResponse."""

    index: int = 0
    error_code: int = 0
    base_offset: int = 0
    log_append_time_ms: int = -1
    log_start_offset: int = -1
    record_errors: list[BatchIndexAndErrorMessage] = field(default_factory=list)
    error_message: str | None = None
    current_leader: LeaderIdAndEpoch = field(default_factory=LeaderIdAndEpoch)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        out += _IHQQ.pack(self.index, self.error_code, self.base_offset, self.log_append_time_ms)
        if version >= 5:
            out += _Q.pack(self.log_start_offset)
        if version >= 8:
            put_count(out, len(self.record_errors), flexible)
            for batch_index_and_error_message in self.record_errors:
                batch_index_and_error_message.encode(out, version)
            put_string(out, self.error_message, flexible)
        if flexible:
            tags = []
            if version >= 10 and self.current_leader != LeaderIdAndEpoch():
                value = bytearray()
                self.current_leader.encode(value, version)
                tags.append((0, value))
            put_tags(out, tags)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "PartitionProduceResponse":
        self = cls()
        flexible = version >= 9
        self.index, self.error_code, self.base_offset, self.log_append_time_ms = r.fixed(_IHQQ)
        if version >= 5:
            self.log_start_offset, = r.fixed(_Q)
        if version >= 8:
            count = r.count(flexible, 5)
            self.record_errors = [BatchIndexAndErrorMessage.decode(r, version) for _ in range(count)]
            self.error_message = r.nullable_string(flexible)
        if flexible:
            for tag in r.tags():
                if tag == 0 and version >= 10:
                    self.current_leader = LeaderIdAndEpoch.decode(r, version)
        return self


@dataclass(slots=True)
class TopicProduceResponse:
    """`responses` of ProduceResponse."""

    name: str = ""
    topic_id: bytes = UUID_ZERO
    partition_responses: list[PartitionProduceResponse] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        if version <= 12:
            put_string(out, self.name, flexible)
        if version >= 13:
            out += _16S.pack(self.topic_id)
        put_count(out, len(self.partition_responses), flexible)
        for partition_produce_response in self.partition_responses:
            partition_produce_response.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "TopicProduceResponse":
        self = cls()
        flexible = version >= 9
        if version <= 12:
            self.name = r.string(flexible)
        if version >= 13:
            self.topic_id, = r.fixed(_16S)
        count = r.count(flexible, 22)
        self.partition_responses = [PartitionProduceResponse.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class NodeEndpoint:
    """`node_endpoints` of ProduceResponse."""

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
class ProduceResponse:
    """Produce v3-v13, response."""

    API_KEY: ClassVar[int] = 0
    VERSIONS: ClassVar[range] = range(3, 14)
    FLEXIBLE_FROM: ClassVar[int] = 9
    responses: list[TopicProduceResponse] = field(default_factory=list)
    throttle_time_ms: int = 0
    node_endpoints: list[NodeEndpoint] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 9
        put_count(out, len(self.responses), flexible)
        for topic_produce_response in self.responses:
            topic_produce_response.encode(out, version)
        out += _I.pack(self.throttle_time_ms)
        if flexible:
            tags = []
            if version >= 10 and self.node_endpoints:
                value = bytearray()
                put_count(value, len(self.node_endpoints), True)
                for node_endpoint in self.node_endpoints:
                    node_endpoint.encode(value, version)
                tags.append((0, value))
            put_tags(out, tags)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "ProduceResponse":
        self = cls()
        flexible = version >= 9
        count = r.count(flexible, 1)
        self.responses = [TopicProduceResponse.decode(r, version) for _ in range(count)]
        self.throttle_time_ms, = r.fixed(_I)
        if flexible:
            for tag in r.tags():
                if tag == 0 and version >= 10:
                    count = r.count(True, 10)
                    self.node_endpoints = [NodeEndpoint.decode(r, version) for _ in range(count)]
        return self
