"""What a MetaStore promises.

Keys are text, values bytes. The store has one revision, a number that each transaction that changes something moves by
one; a key carries the revision that made it and the one that changed it last. Everything that a method returned is
durable. All methods belong to one event loop; transactions of several tasks or brokers never interleave.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass


class MetaError(Exception):
    """The store cannot do what was asked: full disk, lost connection. The message says what to do."""


class LeaseGone(MetaError):
    """The lease has expired or was revoked; its keys are gone."""


class Compacted(MetaError):
    """Changes that far back are forgotten: read the range, then watch from its revision."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key as it is now."""

    key: str
    value: bytes
    create_revision: int    # of the transaction that made it
    mod_revision: int       # of the last that changed it
    lease: int = 0          # 0: none


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys in order, and the revision at which they were read together: watch from `revision + 1`."""

    revision: int
    keys: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """Holds when the key's last change is `mod_revision`; 0: when there is no such key."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """Set a key. With a lease it goes when the lease ends; without one it is freed from an earlier lease."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key; one that is not there is no error and no change."""

    key: str


Change = Put | Delete


@dataclass(frozen=True, slots=True)
class Committed:
    """What a transaction did: `succeeded` when all compares held, and the store's revision after it."""

    succeeded: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Event:
    """One change that a watch sees; `value` is None for a deletion."""

    key: str
    value: bytes | None
    revision: int


class MetaStore(ABC):
    """The interface; a store implements the abstract methods."""

    @abstractmethod
    async def range(self, prefix: str, limit: int = 0) -> Snapshot:
        """Keys that begin with `prefix`, at most `limit` (0: all)."""

    @abstractmethod
    async def get(self, key: str) -> KeyValue | None:
        """One key, or None."""

    @abstractmethod
    async def txn(self, compares: Sequence[Compare], then: Sequence[Change],
                  otherwise: Sequence[Change] = ()) -> Committed:
        """Do `then` when all compares hold, else `otherwise`; all or nothing, in one revision.

        ValueError when a key is changed twice. LeaseGone when a Put names a lease that has ended; nothing is changed.
        """

    @abstractmethod
    def watch(self, prefix: str, revision: int) -> AsyncIterator[Event]:
        """Changes below `prefix` from `revision` on, in order, each once; waits for more. Ends when the store closes.

        Compacted when `revision` lies before what the store remembers, also later, for a watcher that fell that far
        behind: a slow watcher costs no memory.
        """

    @abstractmethod
    async def grant(self, ttl_ms: int) -> int:
        """A new lease's number. It ends `ttl_ms` after the last keep_alive (or a restart of the store)."""

    @abstractmethod
    async def keep_alive(self, lease: int) -> None:
        """Start the lease's time anew. LeaseGone."""

    @abstractmethod
    async def revoke(self, lease: int) -> None:
        """End a lease: its keys are deleted in one revision. One that has ended is no error."""

    @abstractmethod
    def health(self) -> str:
        """"ok", or why it takes no changes until the broker is restarted: "full", "failed" (server/health.py)."""

    @abstractmethod
    async def close(self) -> None:
        """End the watches and let go. The store is not used after it."""

    async def put(self, key: str, value: bytes, lease: int = 0) -> int:
        """Set a key; the new revision."""
        return (await self.txn((), (Put(key, value, lease),))).revision

    async def delete(self, key: str) -> int:
        """Delete a key; the store's revision after it."""
        return (await self.txn((), (Delete(key),))).revision
