"""What the control plane writes of a persistent session: one record of the log's state table per client identifier.

docs/formats/sessions.md has the layout. Window and queue are the data plane's and stand elsewhere (durable.pxd).
"""
from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from robustmq._fastpath.stores.files import LogError

from .packets import Filter, Will
from .properties import put_properties, read_properties
from .reader import Reader, put_binary
from .reasons import WireError
from .sessions import Subscription

log = logging.getLogger(__name__)

VERSION = 1
CLIENT = b"c"                   # key: before the client identifier
LIFE = b"l"                     # key of the number of lives that the broker has had, u32
NUMBERS = 1 << 40               # session numbers of one life


class StateLog(Protocol):
    """A space of the log's state table."""

    def state_items(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Live keys and values whose key begins with `prefix`."""

    def state_put(self, key: bytes, value: bytes | None) -> int:
        """Set or remove (None) a value; the position for `durable`."""

    async def durable(self, position: int) -> None:
        """Returns when `position` keeps the log's promise; OSError when it never will."""


@dataclass(slots=True)
class Record:
    """A session as it is restored. `away_ms`: wall clock of the connection's end, 0 while it is connected."""

    client_id: str
    number: int
    expiry_s: int
    away_ms: int
    will: Will | None
    subscriptions: list[Subscription] = field(default_factory=list)


def encode(record: Record) -> bytes:
    """The record's value; its key has the client identifier."""
    out = bytearray((VERSION,))
    out += record.number.to_bytes(8, "big") + record.expiry_s.to_bytes(4, "big") + record.away_ms.to_bytes(8, "big")
    will = record.will
    out.append(will is not None)
    if will is not None:
        out += bytes((will.qos | will.retain << 2,)) + put_binary(will.topic.encode()) + put_binary(will.payload)
        out += put_properties(will.properties)
    out += len(record.subscriptions).to_bytes(4, "big")
    for one in record.subscriptions:
        wanted = one.filter
        options = wanted.qos | wanted.no_local << 2 | wanted.retain_as_published << 3 | wanted.retain_handling << 4
        out += put_binary(wanted.text.encode()) + bytes((options,)) + one.identifier.to_bytes(4, "big")
    return bytes(out)


def decode(client_id: str, value: bytes) -> Record:
    """ValueError: of another version, or nonsense."""
    reader = Reader(value)
    try:
        if (version := reader.u8()) != VERSION:
            raise ValueError(f"the session record of {client_id!r} has format {version}; this broker reads {VERSION}")
        number = int.from_bytes(reader.take(8), "big")
        record = Record(client_id, number, reader.u32(), int.from_bytes(reader.take(8), "big"), None)
        if reader.u8():
            flags = reader.u8()
            topic, payload = reader.string(), reader.binary()
            record.will = Will(topic, payload, flags & 3, bool(flags & 4), read_properties(reader, "will"))
        for _ in range(reader.u32()):
            text, options, identifier = reader.string(), reader.u8(), reader.u32()
            wanted = Filter(text, options & 3, bool(options & 4), bool(options & 8), options >> 4 & 3)
            record.subscriptions.append(Subscription(wanted, identifier))
    except WireError as error:
        raise ValueError(f"the session record of {client_id!r} cannot be read: {error}") from error
    return record


class Records:
    """The records of all sessions. `wait`: the broker promises `disk`, answers wait for the group commit."""

    def __init__(self, log: StateLog, *, wait: bool) -> None:
        self._log = log
        self._wait = wait

    def begin_life(self) -> int:
        """Another life of the broker: the first number of its sessions, which no life before it has used."""
        lives = {key: int.from_bytes(value, "big") for key, value in self._log.state_items(LIFE)}
        life = lives.get(LIFE, 0) + 1
        self._log.state_put(LIFE, life.to_bytes(4, "big"))
        return life * NUMBERS

    def all(self) -> list[Record]:
        """Every record that can be read; the others are reported and left where they are."""
        found: list[Record] = []
        for key, value in self._log.state_items(CLIENT):
            try:
                found.append(decode(key[len(CLIENT):].decode(), value))
            except ValueError as error:
                log.error("a session is not restored: %s", error)
        return found

    def put(self, record: Record) -> int:
        """The position for `settled`."""
        return self._put(CLIENT + record.client_id.encode(), encode(record))

    def remove(self, client_id: str) -> None:
        """The session is over."""
        self._put(CLIENT + client_id.encode(), None)

    def _put(self, key: bytes, value: bytes | None) -> int:
        """OSError: the log takes no more."""
        try:
            return self._log.state_put(key, value)
        except LogError as error:
            raise OSError(str(error)) from error

    async def settled(self, position: int) -> None:
        """Returns when the answer that depends on `position` may go out. OSError when it never will."""
        if self._wait:
            await self._log.durable(position)
