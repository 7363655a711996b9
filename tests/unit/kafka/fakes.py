"""A broker in memory, behind the same protocols that the handlers use."""
import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from robustmq._fastpath.protocols.kafka.cold import FRAME, KafkaCold
from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.frames import decode_response_header, encode_request
from robustmq._fastpath.protocols.kafka.needs import Broker, ConfigChange, KafkaError
from robustmq._fastpath.protocols.kafka.primitives import Reader
from robustmq.server.groups.limits import GroupLimits
from robustmq.server.groups.service import Groups
from tests.unit.groups.world import MemoryLog

HOT_APIS = {0: (0, 13), 1: (4, 18)}


@dataclass
class FakePartition:
    """What ListOffsets looks at."""

    start: int = 0
    end: int = 0
    max_timestamp_ms: int = -1
    batches: list[tuple[int, bytes]] = field(default_factory=list)      # max timestamp, batch

    def seek_time(self, timestamp_ms: int) -> bytes | None:
        return next((batch for latest, batch in self.batches if latest >= timestamp_ms), None)


@dataclass
class FakeTopic:
    """A topic."""

    name: str
    id: bytes
    partitions: int
    internal: bool = False
    logs: list[FakePartition] = field(default_factory=list)
    set_configs: Mapping[str, str] = field(default_factory=dict)
    explicit: bool = True


@dataclass
class FakeTopics:
    """All topics."""

    by_name: dict[str, FakeTopic] = field(default_factory=dict)

    def find(self, name: str) -> FakeTopic | None:
        return self.by_name.get(name)

    def find_id(self, topic_id: bytes) -> FakeTopic | None:
        return next((topic for topic in self.by_name.values() if topic.id == topic_id), None)

    def all(self) -> Iterable[FakeTopic]:
        return [*self.by_name.values()]

    def partition(self, name: str, number: int) -> FakePartition | None:
        topic = self.by_name.get(name)
        return topic.logs[number] if topic is not None and 0 <= number < topic.partitions else None

    def configs(self, name: str) -> Mapping[str, str]:
        return self.by_name[name].set_configs

    async def create(self, name: str, partitions: int, configs: Mapping[str, str], explicit: bool) -> FakeTopic:
        await asyncio.sleep(0)
        if name in self.by_name:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, "twice")
        return self.add(name, partitions, configs, explicit)

    def add(self, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None,
            explicit: bool = True) -> FakeTopic:
        topic = FakeTopic(name, uuid5(NAMESPACE_URL, name).bytes, partitions, False,
                          [FakePartition() for _ in range(partitions)], configs or {}, explicit)
        self.by_name[name] = topic
        return topic

    async def alter(self, name: str, change: ConfigChange) -> None:
        topic = self.by_name[name]
        topic.set_configs = dict(change(topic.set_configs))

    async def delete_records(self, name: str, number: int, offset: int) -> int:
        partition = self.by_name[name].logs[number]
        if offset > partition.end:
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, "beyond the end")
        partition.start = max(partition.start, offset)
        return partition.start

    async def delete(self, name: str) -> None:
        del self.by_name[name]


class FakeProducerIds:
    """1000, 1001, …"""

    def __init__(self) -> None:
        self.last = 999

    async def next(self) -> int:
        self.last += 1
        return self.last


class Peer:
    """One connection to a cold half in memory. Inside a running loop."""

    def __init__(self, **changes: Any) -> None:
        self.topics = FakeTopics()
        self.log = MemoryLog()
        self.groups = Groups(GroupLimits(group_initial_rebalance_delay_ms=0), self.log)
        self.broker = replace(Broker(3, "127.0.0.1", 9092, "cluster", self.topics, self.groups, FakeProducerIds(),
                                     HOT_APIS), **changes)
        self.answers: list[tuple[int, int, bytes]] = []
        self.cold = KafkaCold(self.broker, lambda *answer: self.answers.append(answer))

    async def send(self, frame: bytes) -> tuple[int, bytes]:
        """Kind and payload of the answer to a frame."""
        await self.cold.on_frame(7, FRAME, frame)
        link_id, kind, payload = self.answers.pop()
        assert link_id == 7
        return kind, payload

    async def ask(self, request: Any, version: int, answer: type[Any]) -> Any:
        """A request in, its response out."""
        kind, payload = await self.send(encode_request(request, version, 11, "test"))
        assert kind == 1
        reader = Reader(payload)
        assert decode_response_header(reader, answer.API_KEY, version >= answer.FLEXIBLE_FROM) == 11
        response = answer.decode(reader, version)
        assert reader.pos == len(payload)
        return response
