"""The coordinator on an event loop: awaitable answers, one timer per group, and commits that wait for their promise."""
import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.messages import (
    HeartbeatRequest,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    OffsetCommitRequest,
    SyncGroupRequest,
    SyncGroupResponse,
)
from robustmq._fastpath.protocols.kafka.messages.leave_group import MemberResponse

from .coordinator import Coordinator
from .group import Group
from .limits import GroupLimits
from .offsets import Committed, Key, Offsets, StateLog

Answer = TypeVar("Answer")


def _setter(answer: "asyncio.Future[Answer]") -> Callable[[Answer], None]:
    """A callback that answers whoever still waits."""
    return lambda response: None if answer.done() else answer.set_result(response)


class Groups:
    """What the Kafka handlers call. All methods belong to the control plane's thread.

    The clock is the wall's at start and runs with CLOCK_MONOTONIC: commit times mean something after a restart, and
    nobody's session ends because an administrator set the time.
    """

    def __init__(self, limits: GroupLimits, log: StateLog) -> None:
        self._loop = asyncio.get_running_loop()
        self._log = log
        self._base_ms = time.time() * 1000 - self._loop.time() * 1000
        self._timers: dict[str, tuple[float, asyncio.TimerHandle]] = {}
        self.coordinator = Coordinator(limits, Offsets(log), self.now_ms(), self._touched)

    def now_ms(self) -> int:
        """Wall time of start plus what has passed since, in ms."""
        return int(self._base_ms + self._loop.time() * 1000)

    async def join(self, request: JoinGroupRequest, version: int, client_id: str) -> JoinGroupResponse:
        """JoinGroup; may take as long as a rebalance."""
        answer: asyncio.Future[JoinGroupResponse] = self._loop.create_future()
        self.coordinator.join(request, version, client_id, self.now_ms(), _setter(answer))
        return await answer

    async def sync(self, request: SyncGroupRequest) -> SyncGroupResponse:
        """SyncGroup; waits for the leader's assignment."""
        answer: asyncio.Future[SyncGroupResponse] = self._loop.create_future()
        self.coordinator.sync(request, self.now_ms(), _setter(answer))
        return await answer

    def heartbeat(self, request: HeartbeatRequest) -> ErrorCode:
        """Heartbeat."""
        return self.coordinator.heartbeat(request, self.now_ms())

    def leave(self, request: LeaveGroupRequest, version: int) -> tuple[ErrorCode, list[MemberResponse]]:
        """LeaveGroup."""
        return self.coordinator.leave(request, version, self.now_ms())

    async def commit(self, request: OffsetCommitRequest,
                     offsets: Sequence[tuple[Key, int, int, str]]) -> list[ErrorCode]:
        """Commit (key, offset, leader epoch, metadata); an error for each. Returns when they keep the log's promise."""
        now_ms = self.now_ms()
        refused = self.coordinator.may_commit(request, now_ms)
        if refused is not ErrorCode.NONE:
            return [refused] * len(offsets)
        results = [self.coordinator.commit(request.group_id, key, Committed(offset, epoch, metadata, now_ms))
                   for key, offset, epoch, metadata in offsets]
        self.coordinator.committed(request.group_id, now_ms)
        if position := max((position for _, position in results), default=0):
            await self._log.durable(position)
        return [error for error, _ in results]

    def offsets(self, group_id: str) -> dict[Key, Committed]:
        """Committed offsets of a group; empty for an unknown one."""
        return self.coordinator.offsets.of(group_id)

    def forget_topic(self, topic: str) -> None:
        """A topic was deleted."""
        self.coordinator.offsets.forget_topic(topic)

    def close(self) -> None:
        """Stop all timers."""
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _touched(self, group: Group) -> None:
        """Keep one timer per group, at its earliest deadline. A later deadline is found when the timer fires."""
        armed_ms, timer = self._timers.get(group.id, (math.inf, None))
        if group.wake_ms < armed_ms:
            if timer is not None:
                timer.cancel()
            delay_s = max(0.0, group.wake_ms - self.now_ms()) / 1000
            self._timers[group.id] = group.wake_ms, self._loop.call_later(delay_s, self._fire, group.id)

    def _fire(self, group_id: str) -> None:
        del self._timers[group_id]
        self.coordinator.on_time(group_id, self.now_ms())
