"""A classic group as a state machine without input or output: requests and the time go in, answers leave through the
callbacks that came with the requests. `on_time` is wanted at `wake_ms`; it may come early.

Owner: the control plane's thread.
"""
import math

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.messages import JoinGroupResponse, SyncGroupResponse
from robustmq._fastpath.protocols.kafka.messages.join_group import JoinGroupResponseMember

from .member import NEW_MEMBER_TIMEOUT_MS, Member, Synced
from .states import MOVES, IllegalMove, State


class Group:
    """Members, generation and the rebalance that is under way."""

    def __init__(self, group_id: str, initial_delay_ms: int, now_ms: int) -> None:
        self.id = group_id
        self.initial_delay_ms = initial_delay_ms
        self.empty_since_ms = now_ms                # of state Empty
        self.state = State.EMPTY
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.leader: str | None = None
        self.members: dict[str, Member] = {}
        self.static: dict[str, str] = {}            # instance id -> member id
        self.pending: dict[str, int] = {}           # ids given out by MEMBER_ID_REQUIRED -> deadline (KIP-394)
        self.size_bytes = 0                         # metadata and assignments of all members
        self.wake_ms = math.inf                     # no deadline is earlier
        self._support: dict[str, int] = {}          # protocol -> members that know it
        self._waiting: set[str] = set()             # members whose JoinGroup waits
        self._rebalance_deadline_ms = math.inf      # of Preparing; of members that have not synced
        self._initial_left_ms: int | None = None    # Preparing from Empty: how much longer it may be extended
        self._joined_since = False                  # a member came during this part of the initial delay

    def move(self, state: State) -> None:
        """The only way to change the state."""
        if state not in MOVES[self.state]:
            raise IllegalMove(f"group {self.id!r}: {self.state.value} -> {state.value}")
        self.state = state

    def supports(self, protocol_type: str, names: list[str]) -> bool:
        """Whether a member with these protocols could be in this group."""
        if not self.members:
            return bool(protocol_type and names)
        return protocol_type == self.protocol_type and any(self._known_to_all(name) for name in names)

    def check(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """Whether the pair names a member; FENCED_INSTANCE_ID when another member has taken the instance over."""
        if instance_id is not None:
            owner = self.static.get(instance_id)
            if owner is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if owner != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        return ErrorCode.NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    def heard(self, member: Member, now_ms: int) -> None:
        """The member is alive: its session starts anew."""
        member.session_deadline_ms = now_ms + member.session_timeout_ms
        self._wake(member.session_deadline_ms)

    # Joining

    def promise(self, member_id: str, deadline_ms: int) -> None:
        """An id was given out; its owner shall join with it (KIP-394)."""
        self.pending[member_id] = deadline_ms
        self._wake(deadline_ms)

    def add(self, member: Member, protocol_type: str, now_ms: int) -> None:
        """A new member, whose JoinGroup waits in it."""
        self.pending.pop(member.id, None)
        if not self.members:
            self.protocol_type = protocol_type
        self.members[member.id] = member
        self._count(member, 1)
        if member.instance_id is not None:
            self.static[member.instance_id] = member.id
        if self.leader is None:
            self.leader = member.id
        member.session_deadline_ms = now_ms + NEW_MEMBER_TIMEOUT_MS
        self._wake(member.session_deadline_ms)
        self._waiting.add(member.id)
        self._joined_since = True
        self.rebalance(now_ms)

    def rejoin(self, member: Member, request: Member, now_ms: int) -> None:
        """A JoinGroup of a member, as `request` says. Whoever only lost the answer gets it again; anything new
        rebalances.
        """
        leads = member.id == self.leader
        if member.protocols == request.protocols and (
                self.state is State.COMPLETING or (self.state is State.STABLE and not leads)):
            self.heard(member, now_ms)
            request.answer_join(self._joined(member, leads))
            return
        self._count(member, -1)
        member.answer_join(JoinGroupResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID, member_id=member.id))
        member.protocols, member.joining = request.protocols, request.joining
        member.session_timeout_ms = request.session_timeout_ms
        member.rebalance_timeout_ms = request.rebalance_timeout_ms
        self._count(member, 1)
        self._waiting.add(member.id)
        self.heard(member, now_ms)
        self.rebalance(now_ms)

    def replace(self, old: Member, member: Member, now_ms: int, can_skip: bool) -> None:
        """A static member came back under a new id. While the selected protocol stays, nobody else notices (KIP-345);
        one that leads is told to skip the assignment if it can (`can_skip`, v9, KIP-814), else not that it leads.
        """
        self._answer(old, ErrorCode.FENCED_INSTANCE_ID)
        leader_before = self.leader or ""
        member.new, member.assignment = False, old.assignment
        self._count(old, -1)
        del self.members[old.id]
        self.members[member.id] = member
        self._count(member, 1)
        self.static[member.instance_id or ""] = member.id
        if self.leader == old.id:
            self.leader = member.id
        self.heard(member, now_ms)
        same = [name for name, _ in old.protocols] == [name for name, _ in member.protocols]
        if self.state is not State.STABLE or not (same or self._select() == self.protocol):
            self._waiting.add(member.id)
            self.rebalance(now_ms)
            return
        skips = can_skip and self.leader == member.id
        response = self._joined(member, skips)
        response.skip_assignment = skips
        response.leader = self.leader or "" if can_skip else leader_before
        member.answer_join(response)

    def rebalance(self, now_ms: int) -> None:
        """Membership or metadata changed: collect all members for the next generation."""
        if self.state is State.PREPARING:
            self._complete_when_all_joined(now_ms)
            return
        for member in self.members.values():
            self._assign(member, b"")
            if member.syncing is not None:
                self.heard(member, now_ms)              # its session did not run while it waited
                member.answer_sync(SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS))
        wait_ms = self._rebalance_timeout_ms()
        if self.state is State.EMPTY and self.initial_delay_ms > 0:
            self._initial_left_ms = max(wait_ms - self.initial_delay_ms, 0)
            self._joined_since = False
            wait_ms = min(self.initial_delay_ms, wait_ms)
        self.move(State.PREPARING)
        self._end_rebalance_at(now_ms + wait_ms)
        self._complete_when_all_joined(now_ms)

    # Assignments

    def sync(self, member: Member, assignments: dict[str, bytes], synced: Synced, now_ms: int) -> None:
        """A SyncGroup of the current generation, in Completing or Stable: the leader's brings everyone's assignment."""
        member.synced = True
        self.heard(member, now_ms)
        if self.state is State.STABLE:
            synced(self._synced(member))
            return
        member.answer_sync(SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS))    # its older request
        member.syncing = synced
        if member.id != self.leader:
            return
        self.move(State.STABLE)
        for each in self.members.values():
            self._assign(each, assignments.get(each.id, b""))
            if each.syncing is not None:
                self.heard(each, now_ms)
                each.answer_sync(self._synced(each))

    # Leaving

    def remove(self, member: Member, now_ms: int) -> None:
        """A member left or is taken for gone."""
        self._answer(member, ErrorCode.UNKNOWN_MEMBER_ID)
        self._drop(member)
        self.rebalance(now_ms)

    def forget_pending(self, member_id: str, now_ms: int) -> None:
        """Whoever was given this id will not come."""
        del self.pending[member_id]
        if self.state is State.PREPARING:
            self._complete_when_all_joined(now_ms)

    # Time

    def on_time(self, now_ms: int) -> None:
        """Let go of whoever was not heard in time; end what waited long enough; say when to come again."""
        for member_id in [key for key, deadline in self.pending.items() if deadline <= now_ms]:
            self.forget_pending(member_id, now_ms)
        for member in [*self.members.values()]:
            if member.expires and member.session_deadline_ms <= now_ms:
                self.remove(member, now_ms)
        if self._rebalance_deadline_ms <= now_ms:
            self._rebalance_deadline_ms = math.inf
            if self.state is State.PREPARING:
                self._end_preparing(now_ms)
            else:
                for member in [each for each in self.members.values() if not each.synced]:
                    self.remove(member, now_ms)
        self.wake_ms = min(self._rebalance_deadline_ms, *self.pending.values(), math.inf, *(
            member.session_deadline_ms for member in self.members.values() if member.expires))

    # Inside

    def _wake(self, deadline_ms: float) -> None:
        self.wake_ms = min(self.wake_ms, deadline_ms)

    def _end_rebalance_at(self, deadline_ms: int) -> None:
        self._rebalance_deadline_ms = deadline_ms
        self._wake(deadline_ms)

    def _count(self, member: Member, sign: int) -> None:
        """Add a member to, or take it from, what is known about all."""
        self.size_bytes += sign * (member.metadata_bytes + len(member.assignment))
        for name in {name for name, _ in member.protocols}:
            self._support[name] = self._support.get(name, 0) + sign
            if not self._support[name]:
                del self._support[name]

    def _assign(self, member: Member, assignment: bytes) -> None:
        self.size_bytes += len(assignment) - len(member.assignment)
        member.assignment = assignment

    def _known_to_all(self, protocol: str) -> bool:
        return self._support.get(protocol, 0) == len(self.members)

    def _select(self) -> str | None:
        """Each member votes for the first protocol of its list that all know; the most votes win."""
        votes: dict[str, int] = {}
        for member in self.members.values():
            choice = next((name for name, _ in member.protocols if self._known_to_all(name)), None)
            if choice is not None:
                votes[choice] = votes.get(choice, 0) + 1
        return max(votes, key=lambda name: votes[name], default=None)

    def _rebalance_timeout_ms(self) -> int:
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def _drop(self, member: Member) -> None:
        del self.members[member.id]
        self._count(member, -1)
        if member.instance_id is not None and self.static.get(member.instance_id) == member.id:
            del self.static[member.instance_id]
        if self.leader == member.id:
            self.leader = next(iter(self.members), None)

    def _complete_when_all_joined(self, now_ms: int) -> None:
        if self._initial_left_ms is None and not self.pending and len(self._waiting) == len(self.members):
            self._complete(now_ms)

    def _end_preparing(self, now_ms: int) -> None:
        """The timeout of Preparing: extend the initial delay while members keep coming, else go on with who is here."""
        if self._initial_left_ms and self._joined_since:
            wait_ms = min(self.initial_delay_ms, self._initial_left_ms)
            self._initial_left_ms -= wait_ms
            self._joined_since = False
            self._end_rebalance_at(now_ms + wait_ms)
            return
        for member in [each for each in self.members.values() if each.instance_id is None]:
            if member.id not in self._waiting:
                self._drop(member)
        self._complete(now_ms)

    def _complete(self, now_ms: int) -> None:
        """Start the next generation with the members that are here; a static one may be absent (KIP-345)."""
        self._initial_left_ms = None
        present = [member for member in self.members.values() if member.id in self._waiting]
        if self.members and not present:    # only absent static members: their sessions decide
            self._end_rebalance_at(now_ms + self._rebalance_timeout_ms())
            return
        self.generation += 1
        self.protocol = self._select()
        self._rebalance_deadline_ms = math.inf
        if not self.members:
            self.protocol_type = None
            self.empty_since_ms = now_ms
            self.move(State.EMPTY)
            return
        if self.leader not in self._waiting:
            self.leader = present[0].id
        self.move(State.COMPLETING)
        self._end_rebalance_at(now_ms + self._rebalance_timeout_ms())
        for member in self.members.values():
            member.new = member.synced = False
        self._waiting.clear()
        for member in present:
            self.heard(member, now_ms)
            member.answer_join(self._joined(member, member.id == self.leader))

    def _joined(self, member: Member, with_members: bool) -> JoinGroupResponse:
        members = [JoinGroupResponseMember(each.id, each.instance_id, each.metadata(self.protocol))
                   for each in self.members.values()] if with_members else []
        return JoinGroupResponse(
            generation_id=self.generation, protocol_type=self.protocol_type, protocol_name=self.protocol,
            leader=self.leader or "", member_id=member.id, members=members)

    def _synced(self, member: Member) -> SyncGroupResponse:
        return SyncGroupResponse(
            protocol_type=self.protocol_type, protocol_name=self.protocol, assignment=member.assignment)

    def _answer(self, member: Member, error: ErrorCode) -> None:
        """Whatever the member waits for."""
        self._waiting.discard(member.id)
        member.answer_join(JoinGroupResponse(error_code=error, member_id=member.id))
        member.answer_sync(SyncGroupResponse(error_code=error))
