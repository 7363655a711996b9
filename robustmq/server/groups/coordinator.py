"""The coordinator of all classic groups: checks requests, finds their group, bounds what peers make it remember.

Without input or output, as `Group`: time is an argument and answers are callbacks. `touched` is told which group may
have an earlier deadline after a request; whoever owns the clock calls `on_time(group_id)` at the group's `wake_ms`.
"""
from collections.abc import Callable
from uuid import uuid4

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
from robustmq._fastpath.protocols.kafka.messages.leave_group import MemberIdentity, MemberResponse

from .group import Group
from .limits import GroupLimits
from .member import Joined, Member, Synced
from .offsets import Committed, Key, Offsets
from .states import State

MEMBER_ID_REQUIRED_FROM = 4     # JoinGroup version (KIP-394)
SKIP_ASSIGNMENT_FROM = 9        # JoinGroup version (KIP-814)


class Coordinator:
    """All groups by name."""

    def __init__(self, limits: GroupLimits, offsets: Offsets, now_ms: int, touched: Callable[[Group], None]) -> None:
        self.limits = limits
        self.offsets = offsets
        self.touched = touched
        self.groups: dict[str, Group] = {}
        self.size_bytes = 0
        for group_id in offsets.groups:
            self._settle(self._create(group_id, now_ms), now_ms)

    # Membership

    def join(self, request: JoinGroupRequest, version: int, client_id: str, now_ms: int, joined: Joined) -> None:
        """JoinGroup; answered at once or when the generation is complete."""
        error, group = self._find_to_join(request, now_ms)
        if group is None:
            joined(JoinGroupResponse(error_code=error, member_id=request.member_id))
            return
        size_before = group.size_bytes
        error = self._join(group, request, version, client_id, now_ms, joined)
        self._after(group, size_before, now_ms)
        if error is not ErrorCode.NONE:
            joined(JoinGroupResponse(error_code=error, member_id=request.member_id))

    def sync(self, request: SyncGroupRequest, now_ms: int, synced: Synced) -> None:
        """SyncGroup; answered at once or when the leader has sent the assignment."""
        group = self.groups.get(request.group_id)
        error = self._check(group, request)
        if error is ErrorCode.NONE and group is not None:
            if (request.protocol_type or group.protocol_type) != group.protocol_type or (
                    request.protocol_name or group.protocol) != group.protocol:
                error = ErrorCode.INCONSISTENT_GROUP_PROTOCOL
            elif group.state is State.PREPARING:
                error = ErrorCode.REBALANCE_IN_PROGRESS
            else:
                error = self._sync(group, request, now_ms, synced)
        if error is not ErrorCode.NONE:
            synced(SyncGroupResponse(error_code=error))

    def heartbeat(self, request: HeartbeatRequest, now_ms: int) -> ErrorCode:
        """Heartbeat: NONE, or why the member has to join again."""
        group = self.groups.get(request.group_id)
        error = self._check(group, request)
        if error is not ErrorCode.NONE or group is None:
            return error
        group.heard(group.members[request.member_id], now_ms)
        self.touched(group)
        return ErrorCode.REBALANCE_IN_PROGRESS if group.state is State.PREPARING else ErrorCode.NONE

    def leave(self, request: LeaveGroupRequest, version: int, now_ms: int) -> tuple[ErrorCode, list[MemberResponse]]:
        """LeaveGroup: the error of the request, and of each member from v3 on."""
        if not request.group_id:
            return ErrorCode.INVALID_GROUP_ID, []
        group = self.groups.get(request.group_id)
        leaving = request.members if version >= 3 else [MemberIdentity(request.member_id)]
        if group is None:
            errors = [ErrorCode.UNKNOWN_MEMBER_ID for _ in leaving]
        else:
            size_before = group.size_bytes
            errors = [self._leave(group, member, now_ms) for member in leaving]
            self._after(group, size_before, now_ms)
        if version < 3:
            return errors[0], []
        return ErrorCode.NONE, [MemberResponse(each.member_id, each.group_instance_id, error)
                                for each, error in zip(leaving, errors, strict=True)]

    # Offsets

    def may_commit(self, request: OffsetCommitRequest, now_ms: int) -> ErrorCode:
        """Whether the sender may commit now. Without a generation only into a group that has no members (KIP-98's
        "simple" consumer); an admin client and a consumer that assigns itself do that.
        """
        if not request.group_id:
            return ErrorCode.INVALID_GROUP_ID
        group = self.groups.get(request.group_id)
        generation = request.generation_id_or_member_epoch
        if group is None:
            if generation >= 0:
                return ErrorCode.ILLEGAL_GENERATION
            if len(self.groups) >= self.limits.groups_max:
                return ErrorCode.GROUP_MAX_SIZE_REACHED
            self._create(request.group_id, now_ms)
            return ErrorCode.NONE
        if generation < 0 and group.state is State.EMPTY:
            return ErrorCode.NONE
        error = group.check(request.member_id, request.group_instance_id)
        if error is not ErrorCode.NONE:
            return error
        if generation != group.generation:
            return ErrorCode.ILLEGAL_GENERATION
        if group.state is State.COMPLETING:
            return ErrorCode.REBALANCE_IN_PROGRESS
        group.heard(group.members[request.member_id], now_ms)
        self.touched(group)
        return ErrorCode.NONE

    def commit(self, group_id: str, key: Key, committed: Committed) -> tuple[ErrorCode, int]:
        """One offset after `may_commit`: the error and the journal position to wait for."""
        if len(committed.metadata.encode()) > self.limits.offset_metadata_max_bytes:
            return ErrorCode.OFFSET_METADATA_TOO_LARGE, 0
        if self.offsets.count >= self.limits.offsets_max and key not in self.offsets.of(group_id):
            return ErrorCode.INVALID_COMMIT_OFFSET_SIZE, 0
        return ErrorCode.NONE, self.offsets.commit(group_id, key, committed)

    def committed(self, group_id: str, now_ms: int) -> None:
        """After the commits of one request: an empty group lives as long as its offsets."""
        group = self.groups.get(group_id)
        if group is not None:
            self._settle(group, now_ms)

    # Time

    def on_time(self, group_id: str, now_ms: int) -> None:
        """The group's `wake_ms` has come."""
        group = self.groups.get(group_id)
        if group is None:
            return
        size_before = group.size_bytes
        group.on_time(now_ms)
        self._after(group, size_before, now_ms)

    # Inside

    def _find_to_join(self, request: JoinGroupRequest, now_ms: int) -> tuple[ErrorCode, Group | None]:
        if not request.group_id:
            return ErrorCode.INVALID_GROUP_ID, None
        limits = self.limits
        if not limits.group_min_session_timeout_ms <= request.session_timeout_ms <= limits.group_max_session_timeout_ms:
            return ErrorCode.INVALID_SESSION_TIMEOUT, None
        group = self.groups.get(request.group_id)
        if group is None:
            if request.member_id:
                return ErrorCode.UNKNOWN_MEMBER_ID, None
            if not request.protocol_type or not request.protocols:
                return ErrorCode.INCONSISTENT_GROUP_PROTOCOL, None
            if len(self.groups) >= limits.groups_max:
                return ErrorCode.GROUP_MAX_SIZE_REACHED, None
            group = self._create(request.group_id, now_ms)
        return ErrorCode.NONE, group

    def _join(self, group: Group, request: JoinGroupRequest, version: int, client_id: str, now_ms: int,
              joined: Joined) -> ErrorCode:
        known = request.member_id in group.members or request.member_id in group.pending
        replaced = group.static.get(request.group_instance_id or "") if not request.member_id else None
        metadata_bytes = sum(len(protocol.metadata) for protocol in request.protocols)
        full = len(group.members) + len(group.pending) >= self.limits.group_max_size and not (known or replaced)
        if full or self.size_bytes + metadata_bytes > self.limits.groups_max_bytes:
            return ErrorCode.GROUP_MAX_SIZE_REACHED
        if not group.supports(request.protocol_type, [protocol.name for protocol in request.protocols]):
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        member = Member(
            request.member_id or f"{request.group_instance_id or client_id}-{uuid4()}", request.group_instance_id,
            request.session_timeout_ms,
            request.rebalance_timeout_ms if version >= 1 else request.session_timeout_ms,
            [(protocol.name, protocol.metadata) for protocol in request.protocols], joining=joined)
        if replaced is not None:
            group.replace(group.members[replaced], member, now_ms, version >= SKIP_ASSIGNMENT_FROM)
            return ErrorCode.NONE
        if not request.member_id and member.instance_id is None and version >= MEMBER_ID_REQUIRED_FROM:
            group.promise(member.id, now_ms + member.session_timeout_ms)
            joined(JoinGroupResponse(error_code=ErrorCode.MEMBER_ID_REQUIRED, member_id=member.id))
            return ErrorCode.NONE
        if not request.member_id or request.member_id in group.pending:
            group.add(member, request.protocol_type, now_ms)
            return ErrorCode.NONE
        error = group.check(request.member_id, request.group_instance_id)
        if error is ErrorCode.NONE:
            group.rejoin(group.members[request.member_id], member, now_ms)
        return error

    def _sync(self, group: Group, request: SyncGroupRequest, now_ms: int, synced: Synced) -> ErrorCode:
        assignments = {each.member_id: each.assignment for each in request.assignments}
        if self.size_bytes + sum(map(len, assignments.values())) > self.limits.groups_max_bytes:
            return ErrorCode.GROUP_MAX_SIZE_REACHED
        size_before = group.size_bytes
        group.sync(group.members[request.member_id], assignments, synced, now_ms)
        self._after(group, size_before, now_ms)
        return ErrorCode.NONE

    def _leave(self, group: Group, leaving: MemberIdentity, now_ms: int) -> ErrorCode:
        member_id = leaving.member_id
        if not member_id and leaving.group_instance_id is not None:     # an administrator removes a static member
            member_id = group.static.get(leaving.group_instance_id, "")
        if member_id in group.pending:
            group.forget_pending(member_id, now_ms)
            return ErrorCode.NONE
        error = group.check(member_id, leaving.group_instance_id)
        if error is ErrorCode.NONE:
            group.remove(group.members[member_id], now_ms)
        return error

    @staticmethod
    def _check(group: Group | None, request: SyncGroupRequest | HeartbeatRequest) -> ErrorCode:
        if not request.group_id:
            return ErrorCode.INVALID_GROUP_ID
        if group is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        error = group.check(request.member_id, request.group_instance_id)
        if error is ErrorCode.NONE and request.generation_id != group.generation:
            return ErrorCode.ILLEGAL_GENERATION
        return error

    def _create(self, group_id: str, now_ms: int) -> Group:
        group = self.groups[group_id] = Group(group_id, self.limits.group_initial_rebalance_delay_ms, now_ms)
        return group

    def _after(self, group: Group, size_before: int, now_ms: int) -> None:
        """After anything that may have changed a group's members."""
        self.size_bytes += group.size_bytes - size_before
        self._settle(group, now_ms)

    def _settle(self, group: Group, now_ms: int) -> None:
        """A group without members: drop the offsets that nobody wanted for long enough; without offsets, the group."""
        if group.state is State.EMPTY and not group.pending:
            since, retention_ms = group.empty_since_ms, self.limits.offsets_retention_ms
            ends = {key: max(each.committed_ms, since) + retention_ms
                    for key, each in self.offsets.of(group.id).items()}
            self.offsets.forget(group.id, [key for key, end_ms in ends.items() if end_ms <= now_ms])
            if not self.offsets.of(group.id):
                group.move(State.DEAD)
                del self.groups[group.id]
                return
            group.wake_ms = min(end_ms for end_ms in ends.values() if end_ms > now_ms)
        self.touched(group)
