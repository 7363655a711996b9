"""DeleteTopics (key 20). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar

from ..primitives import UUID_ZERO, Reader, put_count, put_string

_16S = Struct(">16s")
_H = Struct(">h")
_I = Struct(">i")


@dataclass(slots=True)
class DeleteTopicState:
    """`topics` of DeleteTopicsRequest."""

    name: str | None = None
    topic_id: bytes = UUID_ZERO

    def encode(self, out: bytearray, version: int) -> None:
        put_string(out, self.name, True)
        out += _16S.pack(self.topic_id)
        out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeleteTopicState":
        self = cls()
        self.name = r.nullable_string(True)
        self.topic_id, = r.fixed(_16S)
        r.skip_tags()
        return self


@dataclass(slots=True)
class DeleteTopicsRequest:
    """DeleteTopics v1-v6, request."""

    API_KEY: ClassVar[int] = 20
    VERSIONS: ClassVar[range] = range(1, 7)
    FLEXIBLE_FROM: ClassVar[int] = 4
    topics: list[DeleteTopicState] = field(default_factory=list)
    topic_names: list[str] = field(default_factory=list)
    timeout_ms: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        if version >= 6:
            put_count(out, len(self.topics), flexible)
            for delete_topic_state in self.topics:
                delete_topic_state.encode(out, version)
        if version <= 5:
            put_count(out, len(self.topic_names), flexible)
            for text in self.topic_names:
                put_string(out, text, flexible)
        out += _I.pack(self.timeout_ms)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeleteTopicsRequest":
        self = cls()
        flexible = version >= 4
        if version >= 6:
            count = r.count(flexible, 17)
            self.topics = [DeleteTopicState.decode(r, version) for _ in range(count)]
        if version <= 5:
            count = r.count(flexible, 1)
            self.topic_names = [r.string(flexible) for _ in range(count)]
        self.timeout_ms, = r.fixed(_I)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DeletableTopicResult:
    """`responses` of DeleteTopicsResponse."""

    name: str | None = ""
    topic_id: bytes = UUID_ZERO
    error_code: int = 0
    error_message: str | None = None

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        put_string(out, self.name, flexible)
        if version >= 6:
            out += _16S.pack(self.topic_id)
        out += _H.pack(self.error_code)
        if version >= 5:
            put_string(out, self.error_message, flexible)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeletableTopicResult":
        self = cls()
        flexible = version >= 4
        self.name = r.nullable_string(flexible) if version >= 6 else r.string(flexible)
        if version >= 6:
            self.topic_id, = r.fixed(_16S)
        self.error_code, = r.fixed(_H)
        if version >= 5:
            self.error_message = r.nullable_string(flexible)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class DeleteTopicsResponse:
    """DeleteTopics v1-v6, response."""

    API_KEY: ClassVar[int] = 20
    VERSIONS: ClassVar[range] = range(1, 7)
    FLEXIBLE_FROM: ClassVar[int] = 4
    throttle_time_ms: int = 0
    responses: list[DeletableTopicResult] = field(default_factory=list)

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 4
        out += _I.pack(self.throttle_time_ms)
        put_count(out, len(self.responses), flexible)
        for deletable_topic_result in self.responses:
            deletable_topic_result.encode(out, version)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "DeleteTopicsResponse":
        self = cls()
        flexible = version >= 4
        self.throttle_time_ms, = r.fixed(_I)
        count = r.count(flexible, 3)
        self.responses = [DeletableTopicResult.decode(r, version) for _ in range(count)]
        if flexible:
            r.skip_tags()
        return self
