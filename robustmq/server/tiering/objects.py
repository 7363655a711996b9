"""What is in the blob store, as the MetaStore knows it.

    tier/TOPIC-ID/PARTITION/BASE    {"end", "file", "size", "key"}      written once the object is there
    CLUSTER/TOPIC-ID/PARTITION/BASE-FILE.sealed                         the object's key: a sealed file as it was here

An object without a row is an orphan: a crash came between the two. TOPIC-ID, BASE and FILE are hexadecimal.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from robustmq.server.meta.store import MetaStore
from robustmq.server.topics import TopicAdmin

PREFIX = "tier/"


@dataclass(frozen=True, slots=True)
class Object:
    """An uploaded sealed file, with one run."""

    topic: bytes            # id
    partition: int
    base: int
    end: int
    file: int               # id of the sealed file that was uploaded
    size: int               # of the object
    key: str                # in the blob store

    @property
    def row(self) -> str:
        """Its key in the MetaStore."""
        return f"{PREFIX}{self.topic.hex()}/{self.partition}/{self.base:016x}"


def object_key(cluster: str, topic: bytes, partition: int, base: int, file: int) -> str:
    """The key of an object that is to be."""
    return f"{cluster}/{topic.hex()}/{partition}/{base:016x}-{file:016x}.sealed"


class Objects:
    """All objects, by topic, partition and base offset."""

    def __init__(self, meta: MetaStore, topics: TopicAdmin) -> None:
        self._meta = meta
        self._topics = topics
        self._known: dict[tuple[bytes, int, int], Object] = {}

    async def open(self) -> None:
        """Read what is known."""
        for item in (await self._meta.range(PREFIX)).keys:
            topic, partition, base = item.key.removeprefix(PREFIX).split("/")
            self._keep(Object(bytes.fromhex(topic), int(partition), int(base, 16), **json.loads(item.value)))

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(item.size for item in self._known.values())

    def get(self, topic: bytes, partition: int, base: int) -> Object | None:
        """The object of a run."""
        return self._known.get((topic, partition, base))

    def stream(self, item: Object) -> int | None:
        """The stream that it belongs to; None when its topic was deleted."""
        topic = self._topics.find_id(item.topic)
        return topic.streams[item.partition] if topic is not None and item.partition < topic.partitions else None

    async def add(self, item: Object) -> None:
        """It is in the store."""
        value = {"end": item.end, "file": item.file, "size": item.size, "key": item.key}
        await self._meta.put(item.row, json.dumps(value).encode())
        self._keep(item)

    async def remove(self, item: Object) -> None:
        """It is not there any more."""
        await self._meta.delete(item.row)
        self._known.pop((item.topic, item.partition, item.base), None)

    def _keep(self, item: Object) -> None:
        self._known[item.topic, item.partition, item.base] = item
