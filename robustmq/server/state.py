"""State that changes at message speed, as the cold halves use it: spaces of the log's state table."""
from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from robustmq._fastpath.stores.files import LogError
from robustmq._fastpath.stores.log import Log


class Space(IntEnum):
    """Who owns which space; a number is never used for something else."""

    RETAINED = 1            # broker/retained
    GROUPS = 2              # server/groups
    MQTT_SESSIONS = 3       # protocols/mqtt
    DIRECTORY = 8           # server/directory, server/identity


class StateLog:
    """One space as a durable map."""

    def __init__(self, log: Log, space: Space) -> None:
        self._log = log
        self._space = space

    def state_items(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Live keys and values whose key begins with `prefix`."""
        return [(key, value) for key, value in self._log.state_items(self._space) if key.startswith(prefix)]

    def state_put(self, key: bytes, value: bytes | None) -> int:
        """Set or remove (None) a value; the position for `durable`. OSError when the log is read-only."""
        try:
            return int(self._log.state_put(self._space, key, value))
        except LogError as error:
            raise OSError(str(error)) from error

    async def durable(self, position: int) -> None:
        """Returns when `position` keeps the log's promise; OSError when it never will."""
        try:
            await self._log.wait_durable(position)
        except Exception as error:
            raise OSError(str(error)) from error
