"""The control plane's end of the seam, over a pipe instead of reactors."""
import asyncio
import gc
import os
import warnings
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from robustmq.server.seam import BATCH, Frame, Seam

AT_ONCE, LATER = 9, 10      # kinds of frames whose handler fails


class FakeReactors:
    """Frames in a list; the bell is a pipe."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.frames: list[Frame] = []
        self.closed: list[int] = []
        self.both = asyncio.Event()

    def fileno(self) -> int:
        return self.read_end

    def post(self, *frames: Frame) -> None:
        self.frames += frames
        os.write(self.write_end, b"!")

    def take(self, most: int = BATCH) -> list[Frame]:
        taken, self.frames = self.frames[:most], self.frames[most:]
        if len(taken) < most:
            with suppress(BlockingIOError):
                os.read(self.read_end, 4096)
        return taken

    def close_link(self, link_id: int) -> None:
        self.closed.append(link_id)
        if len(self.closed) == 2:
            self.both.set()


class Service:
    """Remembers what it got."""

    def __init__(self, done: int) -> None:
        self.seen: list[tuple[int, int, bytes]] = []
        self.done = done
        self.all = asyncio.Event()

    def on_frame(self, link_id: int, kind: int, payload: bytes) -> Coroutine[Any, Any, None] | None:
        self.seen.append((link_id, kind, payload))
        if len(self.seen) == self.done:
            self.all.set()
        if kind == AT_ONCE:
            raise RuntimeError("our fault")
        return self.later() if kind == LATER else None

    async def later(self) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("our fault, too")


def test_frames_reach_their_protocol_in_order_and_a_failure_closes_its_link() -> None:
    async def run() -> None:
        reactors = FakeReactors()
        services = [Service(3 * BATCH + 1), Service(1)]
        seam = Seam(reactors, services)
        seam.open()
        reactors.post(*((link, 0, 1, b"x") for link in range(3 * BATCH - 1)), (7, 1, 2, b"y"), (5, 0, AT_ONCE, b""),
                      (6, 0, LATER, b""))
        async with asyncio.timeout(10):
            await services[0].all.wait()
            await services[1].all.wait()
            await reactors.both.wait()
        assert [link for link, _, _ in services[0].seen] == [*range(3 * BATCH - 1), 5, 6]
        assert services[1].seen == [(7, 2, b"y")]
        assert reactors.closed == [5, 6]
        assert seam.counters()["frames"] == 3 * BATCH + 2
        assert seam.counters()["frames_failed"] == 2
        await seam.close()
    asyncio.run(run())


def test_what_has_not_begun_when_the_broker_ends_goes_quietly() -> None:
    async def run() -> None:
        reactors = FakeReactors()
        seam = Seam(reactors, [Service(1)])
        seam.open()
        reactors.post((1, 0, LATER, b""))
        await seam.close()
        assert seam.counters()["frames_failed"] == seam.counters()["frames_in_progress"] == 0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        asyncio.run(run())
        gc.collect()
    assert not [each for each in said if "never awaited" in str(each.message)]
