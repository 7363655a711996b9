"""A peer, and a way to run what awaits."""
import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from .fakes import Peer

Scenario = Callable[[Peer], Coroutine[Any, Any, None]]


@pytest.fixture
def play() -> Callable[..., None]:
    """play(scenario, **broker fields): a scenario with a peer of its own."""
    def run(scenario: Scenario, **changes: Any) -> None:
        async def inside() -> None:
            peer = Peer(**changes)
            try:
                await asyncio.wait_for(_await(scenario(peer)), 10)
            finally:
                peer.groups.close()

        asyncio.run(inside())

    return run


async def _await(coroutine: Awaitable[None]) -> None:
    await coroutine
