"""Any sequence of requests and time: what must hold after each, and that everyone is answered in the end."""
import itertools
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq.server.groups.limits import GroupLimits
from robustmq.server.groups.states import State

from .world import Client, World

numbers = st.integers(0, 5)
PROTOCOLS = [{"range": b"r"}, {"range": b"r", "sticky": b"s"}, {"sticky": b"s", "range": b"r2"}]


class GroupMachine(RuleBasedStateMachine):
    """Six clients, three of them static, that do anything in any order."""

    @initialize(delay_ms=st.sampled_from([0, 3_000]))
    def begin(self, delay_ms: int) -> None:
        self.world = World(GroupLimits(group_initial_rebalance_delay_ms=delay_ms, offsets_retention_ms=200_000))
        self.clients = [Client(self.world, instance=f"i{number}" if number < 3 else None, rebalance_timeout_ms=20_000,
                               version=number % 2 * 6 + 3) for number in range(6)]
        self.asked: list[tuple[str, list[Any]]] = []
        self.serial = itertools.count()

    @rule(number=numbers, protocols=st.sampled_from(PROTOCOLS))
    def join(self, number: int, protocols: dict[str, bytes]) -> None:
        client = self.clients[number]
        client.protocols = protocols
        answers: list[Any] = []

        def joined(response: Any) -> None:
            answers.append(response)
            client._joined(response)

        self.asked.append(("join", answers))
        request = self.request_of(client)
        self.world.coordinator.join(request, client.version, "me", self.world.now_ms, joined)

    def request_of(self, client: Client) -> Any:
        taken: list[Any] = []
        real, self.world.coordinator.join = self.world.coordinator.join, (  # type: ignore[method-assign]
            lambda request, *_: taken.append(request))  # type: ignore[assignment]
        client.ask_join()
        self.world.coordinator.join = real  # type: ignore[method-assign]
        return taken[0]

    @rule(number=numbers)
    def restart(self, number: int) -> None:
        self.clients[number].id = ""

    @rule(number=numbers)
    def sync(self, number: int) -> None:
        client, before = self.clients[number], len(self.clients[number].syncs)
        client.sync({each.id: b"part" for each in self.clients if each.id})
        self.asked.append(("sync", client.syncs[before:] or [None]))

    @rule(number=numbers)
    def heartbeat(self, number: int) -> None:
        self.clients[number].heartbeat()

    @rule(number=numbers)
    def leave(self, number: int) -> None:
        self.clients[number].leave()

    @rule(number=numbers)
    def commit(self, number: int) -> None:
        client = self.clients[number]
        known = client.id in getattr(self.world.coordinator.groups.get("g"), "members", {})
        if self.world.commit(next(self.serial), client) == ErrorCode.NONE:
            assert known or client.generation < 0

    @rule(ms=st.sampled_from([1, 3_000, 9_999, 20_000, 300_000]))
    def wait(self, ms: int) -> None:
        self.world.advance(ms)

    @invariant()
    def what_is_counted_is_there(self) -> None:
        if not hasattr(self, "world"):
            return
        coordinator = self.world.coordinator
        assert coordinator.size_bytes == sum(group.size_bytes for group in coordinator.groups.values())
        assert coordinator.offsets.count == sum(map(len, coordinator.offsets.groups.values()))
        for group in coordinator.groups.values():
            members = group.members.values()
            assert group.size_bytes == sum(each.metadata_bytes + len(each.assignment) for each in members)
            assert group._waiting == {each.id for each in members if each.joining is not None}
            assert group.static == {
                each.instance_id: each.id for each in members if each.instance_id is not None}
            assert group._support == {name: count for name in ("range", "sticky") if (count := sum(
                name in dict(each.protocols) for each in members))}
            assert (group.leader in group.members) if members else group.leader is None
            assert all(group.wake_ms <= each.session_deadline_ms for each in members if each.expires)
            assert all(group.wake_ms <= deadline for deadline in group.pending.values())

    @invariant()
    def a_state_is_what_it_says(self) -> None:
        if not hasattr(self, "world") or "g" not in self.world.coordinator.groups:
            return
        group = self.world.group()
        members = group.members.values()
        assert (group.state is State.EMPTY) <= (not members)
        if group.state in (State.COMPLETING, State.STABLE):
            assert members
            assert all(each.joining is None for each in members)
            assert all(group.protocol in dict(each.protocols) for each in members)
        if group.state is not State.COMPLETING:
            assert all(each.syncing is None for each in members)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.advance(2_000_000)
        assert all(len(answers) == 1 for _, answers in self.asked)
        assert not self.world.coordinator.groups
        assert self.world.coordinator.size_bytes == 0
        assert not self.world.log.items


GroupMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestGroup = GroupMachine.TestCase
