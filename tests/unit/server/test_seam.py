"""The control plane's end of the seam, over a pipe instead of reactors."""
import asyncio
import os
from contextlib import suppress

from robustmq.server.seam import BATCH, Frame, Seam


class FakeReactors:
    """Frames in a list; the bell is a pipe."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.frames: list[Frame] = []
        self.closed: list[int] = []

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


class Service:
    """Remembers what it got."""

    def __init__(self, done: int) -> None:
        self.seen: list[tuple[int, int, bytes]] = []
        self.done = done
        self.all = asyncio.Event()

    async def on_frame(self, link_id: int, kind: int, payload: bytes) -> None:
        self.seen.append((link_id, kind, payload))
        if len(self.seen) == self.done:
            self.all.set()
        if kind == 9:
            raise RuntimeError("our fault")


def test_frames_reach_their_protocol_in_order_and_a_failure_closes_one_link() -> None:
    async def run() -> None:
        reactors = FakeReactors()
        services = [Service(3 * BATCH), Service(1)]
        seam = Seam(reactors, services)
        seam.open()
        reactors.post(*((link, 0, 1, b"x") for link in range(3 * BATCH - 1)), (7, 1, 2, b"y"), (5, 0, 9, b""))
        async with asyncio.timeout(10):
            await services[0].all.wait()
            await services[1].all.wait()
        assert [link for link, _, _ in services[0].seen] == [*range(3 * BATCH - 1), 5]
        assert services[1].seen == [(7, 2, b"y")]
        reactors.post()
        await asyncio.sleep(0)
        assert reactors.closed == [5]
        assert seam.counters()["frames"] == 3 * BATCH + 1
        reactors.post()
        await seam.close()
    asyncio.run(run())
