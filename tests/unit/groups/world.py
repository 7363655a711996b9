"""A coordinator on a virtual clock, and clients that remember their answers."""
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

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
from robustmq._fastpath.protocols.kafka.messages.join_group import JoinGroupRequestProtocol
from robustmq._fastpath.protocols.kafka.messages.leave_group import MemberIdentity
from robustmq._fastpath.protocols.kafka.messages.sync_group import SyncGroupRequestAssignment
from robustmq.server.groups.coordinator import Coordinator
from robustmq.server.groups.group import Group
from robustmq.server.groups.limits import GroupLimits
from robustmq.server.groups.offsets import Committed, Offsets
from robustmq.server.groups.states import State


class MemoryLog:
    """A StateLog that forgets nothing and is always durable."""

    def __init__(self) -> None:
        self.items: dict[bytes, bytes] = {}
        self.puts = 0
        self.waited: list[int] = []

    def state_items(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        return [(key, value) for key, value in self.items.items() if key.startswith(prefix)]

    def state_put(self, key: bytes, value: bytes | None) -> int:
        self.puts += 1
        if value is None:
            self.items.pop(key, None)
        else:
            self.items[key] = value
        return self.puts

    async def durable(self, position: int) -> None:
        self.waited.append(position)


@dataclass
class World:
    """Limits, log, time."""

    limits: GroupLimits = field(default_factory=lambda: GroupLimits(group_initial_rebalance_delay_ms=0))
    log: MemoryLog = field(default_factory=MemoryLog)
    now_ms: int = 1_000_000

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new coordinator over the same log."""
        self.coordinator = Coordinator(self.limits, Offsets(self.log), self.now_ms, lambda group: None)

    def advance(self, ms: int) -> None:
        """Let time pass, with every timer at its deadline."""
        end = self.now_ms + ms
        while due := min((group for group in self.coordinator.groups.values() if group.wake_ms <= end),
                         key=lambda group: group.wake_ms, default=None):
            self.now_ms = max(self.now_ms, int(due.wake_ms))
            self.coordinator.on_time(due.id, self.now_ms)
        self.now_ms = end

    def group(self, group_id: str = "g") -> Group:
        return self.coordinator.groups[group_id]

    def commit(self, offset: int, client: "Client | None" = None, topic: str = "t", metadata: str = "") -> ErrorCode:
        """One offset of partition 0."""
        request = OffsetCommitRequest("g", client.generation if client else -1, client.id if client else "",
                                      client.instance if client else None)
        error = self.coordinator.may_commit(request, self.now_ms)
        if error is ErrorCode.NONE:
            error, _ = self.coordinator.commit("g", (topic, 0), Committed(offset, -1, metadata, self.now_ms))
            self.coordinator.committed("g", self.now_ms)
        return error


@dataclass
class Client:
    """A consumer of group "g"."""

    world: World
    protocols: dict[str, bytes] = field(default_factory=lambda: {"range": b"topics"})
    instance: str | None = None
    session_timeout_ms: int = 10_000
    rebalance_timeout_ms: int = 60_000
    version: int = 9
    id: str = ""
    generation: int = -1
    joins: list[JoinGroupResponse] = field(default_factory=list)
    syncs: list[SyncGroupResponse] = field(default_factory=list)

    def ask_join(self, **changes: Any) -> None:
        """One JoinGroup."""
        request = JoinGroupRequest("g", self.session_timeout_ms, self.rebalance_timeout_ms, self.id, self.instance,
                                   "consumer", [JoinGroupRequestProtocol(*item) for item in self.protocols.items()])
        for name, value in changes.items():
            setattr(request, name, value)
        self.world.coordinator.join(request, self.version, "me", self.world.now_ms, self._joined)

    def join(self) -> "Client":
        """JoinGroup, again with the id that MEMBER_ID_REQUIRED gave."""
        self.ask_join()
        if self.joins and self.joins[-1].error_code == ErrorCode.MEMBER_ID_REQUIRED:
            self.joins.pop()
            self.ask_join()
        return self

    def _joined(self, response: JoinGroupResponse) -> None:
        self.joins.append(response)
        if response.error_code in (ErrorCode.NONE, ErrorCode.MEMBER_ID_REQUIRED):
            self.id, self.generation = response.member_id, response.generation_id

    @property
    def leads(self) -> bool:
        """Whether the last JoinGroup made it the leader."""
        return self.joins[-1].leader == self.id

    @property
    def error(self) -> int | None:
        """Error of the last JoinGroup, None while it waits."""
        return self.joins[-1].error_code if self.joins else None

    def sync(self, assignments: dict[str, bytes] | None = None, **changes: Any) -> "Client":
        """SyncGroup."""
        request = SyncGroupRequest("g", self.generation, self.id, self.instance, "consumer", None, [
            SyncGroupRequestAssignment(*item) for item in (assignments or {}).items()])
        for name, value in changes.items():
            setattr(request, name, value)
        self.world.coordinator.sync(request, self.world.now_ms, self.syncs.append)
        return self

    def heartbeat(self, **changes: Any) -> ErrorCode:
        """Heartbeat."""
        request = HeartbeatRequest("g", self.generation, self.id, self.instance)
        for name, value in changes.items():
            setattr(request, name, value)
        return self.world.coordinator.heartbeat(request, self.world.now_ms)

    def leave(self) -> int:
        """LeaveGroup v3."""
        request = LeaveGroupRequest("g", members=[MemberIdentity(self.id, self.instance)])
        return self.world.coordinator.leave(request, 3, self.world.now_ms)[1][0].error_code


def stable(world: World, *clients: Client) -> None:
    """All clients in one generation, assigned."""
    for client in clients:
        client.join()
    for client in clients:
        if world.group().members[client.id].joining is None and world.group().state is State.PREPARING:
            client.ask_join()
    for client in sorted(clients, key=lambda client: client.leads):
        client.sync({each.id: b"of " + each.id.encode() for each in clients} if client.leads else None)
    assert world.group().state is State.STABLE
