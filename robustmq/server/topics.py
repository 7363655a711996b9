"""Topics for administrators: created, deleted and configured through the MetaStore; found in the data plane.

    topics/NAME     {"id": hex, "partitions": n, "configs": {…}}    what an administrator decided

A configuration is in the MetaStore before it is applied, and applied without a restart.

A topic that appears by itself is in the data plane only (docs/decisions/0005). A creation is in the MetaStore before
the data plane makes the streams, a deletion leaves it before they end: after a crash in between, the next start
finishes the creation, and a half deleted topic is an ordinary one that can be deleted again.
"""
from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from robustmq._fastpath.broker.topic import TopicError, Topics
from robustmq._fastpath.protocols.kafka.configs import as_list, effective
from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.needs import ConfigChange, KafkaError
from robustmq._fastpath.stores.files import LogError
from robustmq._fastpath.stores.log import Log
from robustmq.server.errors import StartError
from robustmq.server.meta.store import Compare, Delete, MetaError, MetaStore, Put

PREFIX = "topics/"
ARRIVAL_S = 30          # that a client waits for the blob store
# Statuses of status.pxd that have an error of their own.
ERRORS = {23: ErrorCode.INVALID_TOPIC_EXCEPTION, 29: ErrorCode.POLICY_VIOLATION, 48: ErrorCode.KAFKA_STORAGE_ERROR,
          49: ErrorCode.KAFKA_STORAGE_ERROR, 50: ErrorCode.KAFKA_STORAGE_ERROR}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is now; `streams` by partition."""

    name: str
    id: bytes
    streams: tuple[int, ...]
    internal: bool

    @property
    def partitions(self) -> int:
        """How many."""
        return len(self.streams)


class Partition:
    """A partition as Kafka's ListOffsets and robustmq-ctl see it."""

    def __init__(self, store: Log, stream: int) -> None:
        self._ref = store.partition(stream)

    @property
    def start(self) -> int:
        """First offset that is there."""
        return int(self._ref.start)

    @property
    def end(self) -> int:
        """The next offset."""
        return int(self._ref.end)

    @property
    def size_bytes(self) -> int:
        """In the log now."""
        return int(self._ref.bytes)

    @property
    def max_timestamp_ms(self) -> int:
        """Latest record timestamp, -1 when there is none."""
        return int(self._ref.max_timestamp)

    def seek_time(self, timestamp_ms: int) -> bytes | None:
        """The first record batch whose max timestamp is `timestamp_ms` or later."""
        found: bytes | None = self._ref.seek_time(timestamp_ms)
        return found


class TopicAdmin:
    """The one place that creates and deletes topics on request."""

    def __init__(self, topics: Topics, store: Log, meta: MetaStore, settings: Mapping[str, str]) -> None:
        """`settings`: broker-wide configurations by Kafka's names, the defaults of what a topic does not say."""
        self._topics = topics
        self._store = store
        self._meta = meta
        self._settings = settings
        self._configs: dict[str, Mapping[str, str]] = {}
        self._altering = asyncio.Lock()
        self.wait_for_arrival: Callable[[], Awaitable[None]] | None = None      # tiering's; None: nothing ever comes

    async def open(self) -> None:
        """Make what the MetaStore knows and the log does not; apply the configurations. StartError."""
        self._store.default_policy(**policy_of(effective({}, self._settings)))
        for item in (await self._meta.range(PREFIX)).keys:
            name, wanted = item.key.removeprefix(PREFIX), json.loads(item.value)
            try:
                self._make(name, wanted["partitions"], wanted["configs"], bytes.fromhex(wanted["id"]))
            except (KafkaError, ValueError) as error:
                raise StartError(f"topic {name} of the metadata store cannot be made: {error}") from error
            self._apply(name, wanted["configs"])

    def find(self, name: str) -> Topic | None:
        """By canonical name."""
        return self._view(self._topics.find(name))

    def find_id(self, topic_id: bytes) -> Topic | None:
        """By its 16-byte id."""
        return self._view(self._topics.find_id(topic_id))

    def all(self) -> Iterator[Topic]:
        """Every topic, in order of names."""
        for name in sorted(self._topics.names()):
            if (topic := self.find(name)) is not None:
                yield topic

    def count(self) -> int:
        """How many there are."""
        return len(self._topics)

    def partition(self, name: str, number: int) -> Partition | None:
        """One partition; None when there is none."""
        topic = self.find(name)
        if topic is None or not 0 <= number < topic.partitions:
            return None
        try:
            return Partition(self._store, topic.streams[number])
        except LookupError:
            return None

    def configs(self, name: str) -> Mapping[str, str]:
        """What an administrator set."""
        return self._configs.get(name, {})

    def compacted(self) -> Iterator[int]:
        """Streams of the topics with cleanup.policy=compact; by a broker-wide policy also those that appeared by
        themselves.
        """
        by_default = "compact" in as_list(effective({}, self._settings)["cleanup.policy"])
        for name in self._topics.names() if by_default else list(self._configs):
            own = self._configs.get(name)
            compact = "compact" in as_list(effective(own, self._settings)["cleanup.policy"]) if own else by_default
            topic = self.find(name) if compact else None
            if topic is not None and not topic.internal:
                yield from topic.streams

    def tiered(self) -> Iterator[tuple[Topic, Mapping[str, str]]]:
        """Topics with remote.storage.enable, and all their configurations."""
        for name in sorted(self._configs):
            topic, values = self.find(name), effective(self._configs[name], self._settings)
            if topic is not None and values["remote.storage.enable"].lower() == "true":
                yield topic, values

    async def arrival(self) -> None:
        """Until something has come from the blob store, or cannot come now."""
        if self.wait_for_arrival is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(ARRIVAL_S):
                    await self.wait_for_arrival()

    async def create(self, name: str, partitions: int, configs: Mapping[str, str], explicit: bool) -> Topic:
        """Create; `explicit` topics are remembered with their configuration. KafkaError."""
        if self.find(name) is not None:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic {name!r} exists already")
        topic_id = uuid.uuid4().bytes
        if explicit:
            await self._remember(name, partitions, configs, topic_id)
        try:
            self._make(name, partitions, configs, topic_id)
        except KafkaError:
            if explicit:
                with suppress(MetaError):           # then the next start finishes the creation
                    await self._meta.delete(PREFIX + name)
            raise
        if explicit:
            self._apply(name, configs)
        topic = self.find(name)
        if topic is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"topic {name!r} was deleted at the same moment")
        log.info("topic created", extra={"topic": name, "partitions": partitions, "explicit": explicit})
        return topic

    async def alter(self, name: str, change: ConfigChange) -> None:
        """Set a topic's configuration to what `change` makes of it. A topic that appeared by itself is one of an
        administrator's from then on. KafkaError.
        """
        async with self._altering:
            topic = self.find(name)
            if topic is None:
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}")
            configs = change(self.configs(name))
            try:
                await self._meta.put(PREFIX + name, remembered(topic.partitions, configs, topic.id))
            except MetaError as error:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
            self._apply(name, configs)
        log.info("topic configured", extra={"topic": name, "configs": dict(configs)})

    async def delete_records(self, name: str, number: int, offset: int) -> int:
        """Delete what is below `offset`; the offset at which the partition starts then. KafkaError."""
        topic, partition = self.find(name), self.partition(name, number)
        if topic is None or partition is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no partition {number} of topic {name!r}")
        if topic.internal:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"topic {name!r} belongs to the broker")
        if as_list(effective(self.configs(name), self._settings)["cleanup.policy"]) == ["compact"]:
            raise KafkaError(ErrorCode.POLICY_VIOLATION, f"topic {name!r} is compacted: no record goes by its offset")
        if not 0 <= offset <= partition.end:
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, f"{offset} is not between 0 and {partition.end}")
        try:
            await self._store.wait_durable(self._store.trim(topic.streams[number], offset))
            return partition.start
        except LogError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        except LookupError as error:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, str(error)) from error

    async def delete(self, name: str) -> None:
        """Delete a topic with its records. KafkaError."""
        async with self._altering:
            try:
                await self._meta.txn((), (Delete(PREFIX + name),))
            except MetaError as error:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
            self._configs.pop(name, None)
            if not self._topics.delete(name):
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}")
        log.info("topic deleted", extra={"topic": name})

    async def _remember(self, name: str, partitions: int, configs: Mapping[str, str], topic_id: bytes) -> None:
        value = remembered(partitions, configs, topic_id)
        try:
            done = await self._meta.txn((Compare(PREFIX + name, 0),), (Put(PREFIX + name, value),))
        except MetaError as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        if not done.succeeded:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic {name!r} exists already")

    def _make(self, name: str, partitions: int, configs: Mapping[str, str], topic_id: bytes) -> None:
        try:
            self._topics.create(name, partitions, durability=configs.get("robustmq.durability") or None,
                                topic_id=topic_id)
        except TopicError as error:
            raise KafkaError(ERRORS.get(error.status, ErrorCode.UNKNOWN_SERVER_ERROR), str(error)) from error
        except ValueError as error:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, str(error)) from error

    def _apply(self, name: str, configs: Mapping[str, str]) -> None:
        """Tell the data plane what a configuration means to it."""
        self._configs[name] = dict(configs)
        values = effective(configs, self._settings)
        self._topics.configure(name, explicit=True, compacted="compact" in as_list(values["cleanup.policy"]),
                               max_message_bytes=int(values["max.message.bytes"]))
        topic = self.find(name)
        for stream in topic.streams if topic is not None else ():
            self._store.set_policy(stream, **policy_of(values))

    @staticmethod
    def _view(found: dict[str, object] | None) -> Topic | None:
        if found is None:
            return None
        name, topic_id, streams = found["name"], found["id"], found["streams"]
        assert isinstance(name, str) and isinstance(topic_id, bytes) and isinstance(streams, list)
        return Topic(name, topic_id, tuple(streams), bool(found["internal"]))


def policy_of(values: Mapping[str, str]) -> dict[str, object]:
    """What is kept of a topic, as Log.set_policy takes it."""
    numbers = ("retention.ms", "retention.bytes", "segment.bytes", "segment.ms", "min.compaction.lag.ms",
               "max.compaction.lag.ms", "delete.retention.ms")
    return {**{name.replace(".", "_"): int(values[name]) for name in numbers},
            "min_cleanable_dirty_ratio": float(values["min.cleanable.dirty.ratio"]),
            "cleanup": values["cleanup.policy"],
            "remote": values["remote.storage.enable"].lower() == "true"}


def remembered(partitions: int, configs: Mapping[str, str], topic_id: bytes) -> bytes:
    """A topic as the MetaStore keeps it."""
    return json.dumps({"id": topic_id.hex(), "partitions": partitions, "configs": dict(configs)}).encode()
