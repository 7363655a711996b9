"""Turns with streams: one after the other for the same, side by side for others."""
from __future__ import annotations

import asyncio

import pytest

from robustmq.server.turns import Turns


class World:
    """Blocks that last until they are told to end."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.running: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, name: str, streams: set[int] | None) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._block(name, streams))
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)

    async def _block(self, name: str, streams: set[int] | None) -> None:
        async with self.turns.take(streams):
            self.running.append(name)
            await self.ends[name].wait()
            self.running.remove(name)


def test_the_same_stream_waits_and_others_do_not() -> None:
    async def play() -> None:
        world = World()
        await world.begin("clean 1", {1})
        await world.begin("recall 2", {2})
        await world.begin("release 1 3", {1, 3})
        assert world.running == ["clean 1", "recall 2"]
        await world.end("recall 2")
        assert world.running == ["clean 1"]
        await world.end("clean 1")
        assert world.running == ["release 1 3"]
        await world.end("release 1 3")
    asyncio.run(play())


def test_all_streams_wait_for_each_and_each_for_all() -> None:
    async def play() -> None:
        world = World()
        await world.begin("recall", {2})
        await world.begin("merge", None)
        assert world.running == ["recall"]
        await world.end("recall")
        await world.begin("next", {5})
        assert world.running == ["merge"]
        await world.end("merge")
        assert world.running == ["next"]
        await world.end("next")
    asyncio.run(play())


def test_a_turn_ends_with_an_error_and_a_wait_with_its_task() -> None:
    async def play() -> None:
        world = World()
        with pytest.raises(ValueError, match="disk"):
            async with world.turns.take({1}):
                raise ValueError("disk")
        await world.begin("first", {1})
        await world.begin("gives up", {1})
        world.tasks["gives up"].cancel()
        await world.begin("third", {1})
        await world.end("first")
        assert world.running == ["third"]
        await world.end("third")
    asyncio.run(play())
