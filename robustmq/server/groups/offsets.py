"""Committed offsets: where a group continues reading. In memory per group, and durable as state records of the log.

    key    "kafka.offset\\0" group "\\0" topic "\\0" partition (decimal)
    value  offset i64, leader epoch i32, commit time ms i64 (big endian), then the client's metadata (UTF-8)
"""
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from struct import Struct
from typing import Protocol

PREFIX = b"kafka.offset\0"
_GROUP = Struct(">H")
_PARTITION = Struct(">i")
_VALUE = Struct(">qiq")
Key = tuple[str, int]       # topic, partition


class StateLog(Protocol):
    """What is needed of the log: a durable map. A later put of a key replaces the earlier one; None removes it."""

    def state_items(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]: ...

    def state_put(self, key: bytes, value: bytes | None) -> int:
        """Journal position that must become durable for this put to be so; OSError when the log takes nothing."""

    def durable(self, position: int) -> Awaitable[None]:
        """Returns when `position` keeps the promise of the log; raises OSError when it never will."""


@dataclass(frozen=True, slots=True)
class Committed:
    """One committed offset; the leader epoch is -1 when the client gave none."""

    offset: int
    leader_epoch: int
    metadata: str
    committed_ms: int


class Offsets:
    """All committed offsets of all groups."""

    def __init__(self, log: StateLog) -> None:
        self.log = log
        self.count = 0
        self.groups: dict[str, dict[Key, Committed]] = {}
        for key, value in log.state_items(PREFIX):
            self._set(*_decode_key(key), _decode_value(value))

    def commit(self, group: str, key: Key, committed: Committed) -> int:
        """Remember; the journal position to wait for. OSError: not remembered."""
        value = _VALUE.pack(committed.offset, committed.leader_epoch, committed.committed_ms)
        position = self.log.state_put(_key(group, key), value + committed.metadata.encode())
        self._set(group, key, committed)
        return position

    def of(self, group: str) -> dict[Key, Committed]:
        """The offsets of a group; not to be changed."""
        return self.groups.get(group, {})

    def forget(self, group: str, keys: Iterable[Key]) -> None:
        """Drop offsets of a group."""
        offsets = self.groups.get(group, {})
        for key in [*keys]:
            del offsets[key]
            self.count -= 1
            with suppress(OSError):     # read-only: a restart brings it back, and what is over is found over again
                self.log.state_put(_key(group, key), None)
        if not offsets:
            self.groups.pop(group, None)

    def forget_topic(self, topic: str) -> None:
        """A topic was deleted: one of the same name starts anew."""
        for group, offsets in [*self.groups.items()]:
            self.forget(group, [key for key in offsets if key[0] == topic])

    def _set(self, group: str, key: Key, committed: Committed) -> None:
        offsets = self.groups.setdefault(group, {})
        self.count += key not in offsets
        offsets[key] = committed


def _key(group: str, key: Key) -> bytes:
    topic, partition = key
    name = group.encode()
    return PREFIX + _GROUP.pack(len(name)) + name + _PARTITION.pack(partition) + topic.encode()


def _decode_key(data: bytes) -> tuple[str, Key]:
    start = len(PREFIX) + _GROUP.size
    end = start + _GROUP.unpack_from(data, len(PREFIX))[0]
    return data[start:end].decode(), (data[end + _PARTITION.size :].decode(), _PARTITION.unpack_from(data, end)[0])


def _decode_value(data: bytes) -> Committed:
    offset, epoch, committed_ms = _VALUE.unpack_from(data)
    return Committed(offset, epoch, data[_VALUE.size :].decode(), committed_ms)
