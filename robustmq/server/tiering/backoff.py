"""How tiering waits: longer after each failure (a second, then twice as long, to a minute), and for threads to end."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

FIRST_S, LONGEST_S = 1.0, 60.0
Result = TypeVar("Result")


class Backoff:
    """How long to wait before the next try."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def reset(self) -> None:
        """It went well."""
        self._next_s = FIRST_S

    def step(self) -> float:
        """Seconds to wait now."""
        now, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_S)
        return now

    async def wait(self) -> None:
        """A timer of the loop."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(self.step(), done.set_result, None)
        try:
            await done
        finally:
            timer.cancel()


async def whole(function: Callable[..., Result], *args: object) -> Result:
    """`function` in a thread, and to its end even when the caller is cancelled: nobody closes what it works on."""
    thread = asyncio.ensure_future(asyncio.to_thread(function, *args))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise
