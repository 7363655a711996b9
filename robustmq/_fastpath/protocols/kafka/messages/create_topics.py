"""CreateTopics (key 19). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct, pack
from typing import ClassVar

from ..primitives import UUID_ZERO, Reader, put_count, put_string, put_tags

_16S = Struct(">16s")
_TBT = Struct(">?b?")
_H = Struct(">h")
_I = Struct(">i")
_IT = Struct(">i?")
_IH = Struct(">ih")


@dataclass(slots=True)
class CreatableReplicaAssignment:
    """`assignments` of CreatableTopic."""

    partition_index: int = 0
    broker_ids: list[int] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 5
        out += _I.pack(self.partition_index)
        put_count(out, len(self.broker_ids), flexible)
        out += pack(f">{len(self.broker_ids)}i", *self.broker_ids)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "CreatableReplicaAssignment":
        self = cls()
        flexible = version >= 5
        self.partition_index, = r.fixed(_I)
        count = r.count(flexible, 4)
        self.broker_ids = list(r.fixed(Struct(f">{count}i")))
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class CreatableTopicConfig:
    """`configs` of CreatableTopic."""

    name: str = ""
    value: str | None = ""

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 5
        put_string(out, self.name, flexible)
        put_string(out, self.value, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "CreatableTopicConfig":
        self = cls()
        flexible = version >= 5
        self.name = r.string(flexible)
        self.value = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class CreatableTopic:
    """`topics` of CreateTopicsRequest."""

    name: str = ""
    num_partitions: int = 0
    replication_factor: int = 0
    assignments: list[CreatableReplicaAssignment] = field(default_factory=list)
    configs: list[CreatableTopicConfig] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 5
        put_string(out, self.name, flexible)
        out += _IH.pack(self.num_partitions, self.replication_factor)
        put_count(out, len(self.assignments), flexible)
        for creatable_replica_assignment in self.assignments:
            creatable_replica_assignment.encode(out, version)
        put_count(out, len(self.configs), flexible)
        for creatable_topic_config in self.configs:
            creatable_topic_config.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "CreatableTopic":
        self = cls()
        flexible = version >= 5
        self.name = r.string(flexible)
        self.num_partitions, self.replication_factor = r.fixed(_IH)
        count = r.count(flexible, 5)
        self.assignments = [CreatableReplicaAssignment.decode(r, version) for _ in range(count)]
        count = r.count(flexible, 2)
        self.configs = [CreatableTopicConfig.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class CreateTopicsRequest:
    """CreateTopics v2-v7, request."""

    API_KEY: ClassVar[int] = 19
    VERSIONS: ClassVar[range] = range(2, 8)
    FLEXIBLE_FROM: ClassVar[int] = 5
    topics: list[CreatableTopic] = field(default_factory=list)
    timeout_ms: int = 60000
    validate_only: bool = False

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 5
        put_count(out, len(self.topics), flexible)
        for creatable_topic in self.topics:
            creatable_topic.encode(out, version)
        out += _IT.pack(self.timeout_ms, self.validate_only)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "CreateTopicsRequest":
        self = cls()
        flexible = version >= 5
        count = r.count(flexible, 9)
        self.topics = [CreatableTopic.decode(r, version) for _ in range(count)]
        self.timeout_ms, self.validate_only = r.fixed(_IT)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class CreatableTopicConfigs:
    """`configs` of CreatableTopicResult."""

    name: str = ""
    value: str | None = ""
    read_only: bool = False
    config_source: int = -1
    is_sensitive: bool = False

    def encode(self, out: bytearray, version: int) -> None:
        put_string(out, self.name, True)
        put_string(out, self.value, True)
        out += _TBT.pack(self.read_only, self.config_source, self.is_sensitive)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "CreatableTopicConfigs":
        self = cls()
        self.name = r.string(True)
        self.value = r.nullable_string(True)
        self.read_only, self.config_source, self.is_sensitive = r.fixed(_TBT)
        r.skip_tags()
        return self


@dataclass(slots=True)
class CreatableTopicResult:
    """`topics` of CreateTopicsResponse."""

    name: str = ""
    topic_id: bytes = UUID_ZERO
    error_code: int = 0
    error_message: str | None = ""
    topic_config_error_code: int = 0
    num_partitions: int = -1
    replication_factor: int = -1
    configs: list[CreatableTopicConfigs] | None = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 5
        put_string(out, self.name, flexible)
        if version >= 7:
            out += _16S.pack(self.topic_id)
        out += _H.pack(self.error_code)
        put_string(out, self.error_message, flexible)
        if version >= 5:
            out += _IH.pack(self.num_partitions, self.replication_factor)
            put_count(out, -1 if self.configs is None else len(self.configs), flexible)
            if self.configs is not None:
                for creatable_topic_configs in self.configs:
                    creatable_topic_configs.encode(out, version)
        if flexible:
            tags = []
            if self.topic_config_error_code != 0:
                value = bytearray()
                value += _H.pack(self.topic_config_error_code)
                tags.append((0, value))
            put_tags(out, tags)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "CreatableTopicResult":
        self = cls()
        flexible = version >= 5
        self.name = r.string(flexible)
        if version >= 7:
            self.topic_id, = r.fixed(_16S)
        self.error_code, = r.fixed(_H)
        self.error_message = r.nullable_string(flexible)
        if version >= 5:
            self.num_partitions, self.replication_factor = r.fixed(_IH)
            count = r.nullable_count(flexible, 5)
            self.configs = None if count < 0 else [CreatableTopicConfigs.decode(r, version) for _ in range(count)]
        if flexible:
            for tag in r.tags():
                if tag == 0:
                    self.topic_config_error_code, = r.fixed(_H)
        return self


@dataclass(slots=True)
class CreateTopicsResponse:
    """CreateTopics v2-v7, response."""

    API_KEY: ClassVar[int] = 19
    VERSIONS: ClassVar[range] = range(2, 8)
    FLEXIBLE_FROM: ClassVar[int] = 5
    throttle_time_ms: int = 0
    topics: list[CreatableTopicResult] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 5
        out += _I.pack(self.throttle_time_ms)
        put_count(out, len(self.topics), flexible)
        for creatable_topic_result in self.topics:
            creatable_topic_result.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "CreateTopicsResponse":
        self = cls()
        flexible = version >= 5
        self.throttle_time_ms, = r.fixed(_I)
        count = r.count(flexible, 4)
        self.topics = [CreatableTopicResult.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
