"""When leases end: one timer for the nearest deadline."""
from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadlines:
    """Deadlines of leases on the loop's clock; `ended(lease)` is called once for each that passes."""

    def __init__(self, ended: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._at_s: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def set(self, lease: int, ttl_ms: int) -> None:
        """The lease ends in `ttl_ms` from now."""
        self._at_s[lease] = self._loop.time() + ttl_ms / 1000
        self._arm()

    def drop(self, lease: int) -> None:
        """The lease has ended in another way."""
        self._at_s.pop(lease, None)
        self._arm()

    def __contains__(self, lease: int) -> bool:
        return lease in self._at_s

    def close(self) -> None:
        """No lease ends any more."""
        self._at_s.clear()
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        nearest = min(self._at_s.values(), default=None)
        self._timer = None if nearest is None else self._loop.call_at(nearest, self._fire)

    def _fire(self) -> None:
        now_s = self._loop.time()
        passed = [lease for lease, at_s in self._at_s.items() if at_s <= now_s]
        for lease in passed:
            del self._at_s[lease]
        self._arm()
        for lease in passed:
            self._ended(lease)
