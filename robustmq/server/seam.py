"""The control plane's end of the seam: takes what reactors post, and lets the cold half of each protocol answer.

Everything runs on the event loop. A link that posted a frame is parked until it is answered, so at most one task per
connection is on its way. Frames begin in the order in which they came, each as far as it can go without waiting: who
publishes after another client's SUBSCRIBE was taken is heard by that one.
"""
from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

BATCH = 1024
BUCKETS = 32
log = logging.getLogger(__name__)
Frame = tuple[int, int, int, bytes]         # link id, protocol index, kind, payload


class Reactors(Protocol):
    """What is needed of the reactors."""

    def fileno(self) -> int: ...
    def take(self, most: int = ...) -> list[Frame]: ...
    def close_link(self, link_id: int) -> None: ...


class Service(Protocol):
    """The cold half of a protocol."""

    def on_frame(self, link_id: int, kind: int, payload: bytes) -> Coroutine[Any, Any, None] | None:
        """Serve it at once, or begin to, and return the rest, which waits for something."""


class Seam:
    """Pumps frames from the reactors to `services` (by protocol index)."""

    def __init__(self, reactors: Reactors, services: Sequence[Service]) -> None:
        self._reactors = reactors
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False
        self._frames = 0
        self._failed = 0
        self._served_ns = 0
        self._buckets = [0] * BUCKETS

    def open(self) -> None:
        """Begin."""
        self._open = True
        self._loop.add_reader(self._reactors.fileno(), self._pump)

    async def close(self) -> None:
        """Take what is there, then stop. The reactors have stopped."""
        self._pump()
        self._open = False
        self._loop.remove_reader(self._reactors.fileno())
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def counters(self) -> dict[str, object]:
        """Frames taken, now being served, failed; time from taking to the answer (bucket i: less than 2^i µs)."""
        return {"frames": self._frames, "frames_in_progress": len(self._tasks), "frames_failed": self._failed,
                "frame_buckets": list(self._buckets), "frame_ns": self._served_ns}

    def _pump(self) -> None:
        frames = self._reactors.take(BATCH) if self._open else []
        for frame in frames:
            self._serve(*frame)
        self._frames += len(frames)
        if len(frames) == BATCH:
            self._loop.call_soon(self._pump)

    def _serve(self, link_id: int, protocol: int, kind: int, payload: bytes) -> None:
        begun_ns = time.monotonic_ns()
        try:
            rest = self._services[protocol].on_frame(link_id, kind, payload)
        except Exception as error:
            self._served(link_id, kind, begun_ns, error)
            return
        if rest is None:
            self._served(link_id, kind, begun_ns, None)
            return
        task = self._loop.create_task(rest)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._finished(task, link_id, kind, begun_ns))

    def _finished(self, task: asyncio.Task[None], link_id: int, kind: int, begun_ns: int) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._served(link_id, kind, begun_ns, task.exception())

    def _served(self, link_id: int, kind: int, begun_ns: int, error: BaseException | None) -> None:
        if error is not None:
            self._failed += 1
            log.error("a handler failed; closing its connection", exc_info=error, extra={"link": link_id, "kind": kind})
            self._reactors.close_link(link_id)
        took_ns = time.monotonic_ns() - begun_ns
        self._served_ns += took_ns
        self._buckets[min((took_ns // 1000).bit_length(), BUCKETS - 1)] += 1
