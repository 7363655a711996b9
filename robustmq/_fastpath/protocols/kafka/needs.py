"""What the Kafka handlers need from the rest of the broker, and no more."""
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .errors import ErrorCode
from .messages import (
    HeartbeatRequest,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    OffsetCommitRequest,
    SyncGroupRequest,
    SyncGroupResponse,
)
from .messages.leave_group import MemberResponse

OffsetKey = tuple[str, int]     # topic, partition
ConfigChange = Callable[[Mapping[str, str]], Mapping[str, str]]     # what was set -> what shall be; KafkaError


class KafkaError(Exception):
    """An error that has a code of its own in the protocol."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Topic(Protocol):
    """A topic as it is now."""

    @property
    def name(self) -> str: ...

    @property
    def id(self) -> bytes:
        """16 bytes."""

    @property
    def partitions(self) -> int: ...

    @property
    def internal(self) -> bool: ...


class Partition(Protocol):
    """A partition as ListOffsets sees it."""

    @property
    def start(self) -> int:
        """First offset that is there."""

    @property
    def end(self) -> int:
        """The next offset: high watermark and last stable offset as well, on one node without transactions."""

    @property
    def max_timestamp_ms(self) -> int:
        """Latest record timestamp, -1 when there is none."""

    def seek_time(self, timestamp_ms: int) -> bytes | None:
        """The first record batch whose max timestamp is `timestamp_ms` or later. Elsewhere: wait for an arrival."""


class Topics(Protocol):
    """All topics: who has them, who makes them. Names are canonical (Kafka's)."""

    def find(self, name: str) -> Topic | None: ...

    def find_id(self, topic_id: bytes) -> Topic | None: ...

    def all(self) -> Iterable[Topic]: ...

    def partition(self, name: str, number: int) -> Partition | None: ...

    async def arrival(self) -> None:
        """Until something has come from the blob store, or cannot come now."""

    def configs(self, name: str) -> Mapping[str, str]:
        """What an administrator set; not the defaults."""

    async def create(self, name: str, partitions: int, configs: Mapping[str, str], explicit: bool) -> Topic:
        """`explicit`: an administrator wants it, so it is remembered with its configuration. KafkaError."""

    async def alter(self, name: str, change: ConfigChange) -> None:
        """Set a topic's configuration to what `change` makes of it; nobody else changes it meanwhile. KafkaError."""

    async def delete_records(self, name: str, number: int, offset: int) -> int:
        """Delete what is below `offset`, for good; the first offset that is left. KafkaError."""

    async def delete(self, name: str) -> None:
        """KafkaError."""


class Committed(Protocol):
    """A committed offset."""

    @property
    def offset(self) -> int: ...

    @property
    def leader_epoch(self) -> int: ...

    @property
    def metadata(self) -> str: ...


class Groups(Protocol):
    """The group coordinator (server/groups)."""

    def join(self, request: JoinGroupRequest, version: int, client_id: str) -> Awaitable[JoinGroupResponse]: ...

    def sync(self, request: SyncGroupRequest) -> Awaitable[SyncGroupResponse]: ...

    def heartbeat(self, request: HeartbeatRequest) -> ErrorCode: ...

    def leave(self, request: LeaveGroupRequest, version: int) -> tuple[ErrorCode, list[MemberResponse]]: ...

    def commit(self, request: OffsetCommitRequest,
               offsets: Sequence[tuple[OffsetKey, int, int, str]]) -> Awaitable[list[ErrorCode]]: ...

    def offsets(self, group_id: str) -> Mapping[OffsetKey, Committed]: ...

    def forget_topic(self, topic: str) -> None: ...


class ProducerIds(Protocol):
    """Producer ids, each given out once in the cluster's life."""

    def next(self) -> Awaitable[int]: ...


@dataclass(slots=True)
class Broker:
    """What every handler gets."""

    node_id: int
    host: str                       # advertised
    port: int
    cluster_id: str
    topics: Topics
    groups: Groups
    producer_ids: ProducerIds
    hot_apis: Mapping[int, tuple[int, int]]     # served by the data plane: key -> oldest and newest version
    auto_create_topics: bool = True
    num_partitions: int = 1
    max_partitions: int = 10_000                # of one topic
    message_max_bytes: int = 1_048_588
    settings: Mapping[str, str] | None = None   # further broker configurations to describe, by Kafka's name
