"""The group APIs over the wire: version shapes, topic ids, batches, storage failures."""
from collections.abc import Callable

import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.messages import (
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    LeaveGroupResponse,
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)
from robustmq._fastpath.protocols.kafka.messages.join_group import JoinGroupRequestProtocol
from robustmq._fastpath.protocols.kafka.messages.leave_group import MemberIdentity
from robustmq._fastpath.protocols.kafka.messages.offset_commit import (
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from robustmq._fastpath.protocols.kafka.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from robustmq._fastpath.protocols.kafka.messages.sync_group import SyncGroupRequestAssignment

from .fakes import Peer

Play = Callable[..., None]


@pytest.mark.parametrize("version", range(10))
def test_a_member_s_life_in_every_version(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        def join(member: str) -> JoinGroupRequest:
            return JoinGroupRequest("g", 10_000, 30_000, member, None, "consumer",
                                    [JoinGroupRequestProtocol("range", b"meta")])

        joined = await peer.ask(join(""), version, JoinGroupResponse)
        if version >= 4:
            assert joined.error_code == ErrorCode.MEMBER_ID_REQUIRED
            assert joined.protocol_name == (None if version >= 7 else "")
            joined = await peer.ask(join(joined.member_id), version, JoinGroupResponse)
        assert (joined.error_code, joined.generation_id, joined.protocol_name) == (0, 1, "range")
        assert joined.leader == joined.member_id == joined.members[0].member_id
        assert joined.member_id.startswith("test-")
        assert joined.members[0].metadata == b"meta"
        member = joined.member_id

        request = SyncGroupRequest(
            "g", 1, member, None, "consumer", "range", [SyncGroupRequestAssignment(member, b"all")])
        synced = await peer.ask(request, min(version, 5), SyncGroupResponse)
        assert (synced.error_code, synced.assignment) == (0, b"all")

        beat = await peer.ask(HeartbeatRequest("g", 1, member), min(version, 4), HeartbeatResponse)
        assert beat.error_code == 0

        request = LeaveGroupRequest("g", member, [MemberIdentity(member), MemberIdentity("nobody")])
        left = await peer.ask(request, min(version, 5), LeaveGroupResponse)
        assert left.error_code == 0
        if version >= 3:
            assert [each.error_code for each in left.members] == [0, ErrorCode.UNKNOWN_MEMBER_ID]
        beat = await peer.ask(HeartbeatRequest("g", 1, member), 0, HeartbeatResponse)
        assert beat.error_code == ErrorCode.UNKNOWN_MEMBER_ID

    play(scenario)


async def commit(peer: Peer, version: int, topic: str, topic_id: bytes = bytes(16)) -> list[int]:
    """Partitions 0 and 1; their errors."""
    request = OffsetCommitRequest("g", topics=[OffsetCommitRequestTopic(topic, topic_id, [
        OffsetCommitRequestPartition(number, 40 + number, 0, "note") for number in (0, 1)])])
    response = await peer.ask(request, version, OffsetCommitResponse)
    assert (response.topics[0].name, response.topics[0].topic_id) == (
        (topic, bytes(16)) if version < 10 else ("", topic_id))
    return [each.error_code for each in response.topics[0].partitions]


@pytest.mark.parametrize("version", range(2, 11))
def test_commit(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        topic = peer.topics.add("t", 1)
        assert await commit(peer, version, "t", topic.id) == [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert peer.groups.offsets("g")[("t", 0)].offset == 40
        assert peer.log.waited
        unknown = ErrorCode.UNKNOWN_TOPIC_ID if version >= 10 else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await commit(peer, version, "u", b"u" * 16) == [unknown, unknown]

    play(scenario)


def test_a_commit_that_does_not_become_durable_is_not_acknowledged(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("t", 2)

        async def broken(position: int) -> None:
            raise OSError("the disk is gone")

        peer.log.durable = broken  # type: ignore[method-assign]
        assert await commit(peer, 8, "t") == [ErrorCode.KAFKA_STORAGE_ERROR] * 2

    play(scenario)


@pytest.mark.parametrize("version", range(1, 8))
def test_fetch(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("t", 2)
        await commit(peer, 8, "t")
        request = OffsetFetchRequest("g", [OffsetFetchRequestTopic("t", [1, 7]), OffsetFetchRequestTopic("u", [0])])
        response = await peer.ask(request, version, OffsetFetchResponse)
        assert [(topic.name, each.partition_index, each.committed_offset, each.metadata, each.error_code)
                for topic in response.topics for each in topic.partitions] == [
            ("t", 1, 41, "note", 0), ("t", 7, -1, "", 0), ("u", 0, -1, "", 0)]
        if version >= 5:
            assert [each.committed_leader_epoch for each in response.topics[0].partitions] == [0, -1]
        if version >= 2:
            response = await peer.ask(OffsetFetchRequest("g", None), version, OffsetFetchResponse)
            assert [(topic.name, [each.partition_index for each in topic.partitions])
                    for topic in response.topics] == [("t", [0, 1])]

    play(scenario)


@pytest.mark.parametrize("version", range(8, 11))
def test_fetch_in_batches(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        topic = peer.topics.add("t", 2)
        await commit(peer, 8, "t")
        request = OffsetFetchRequest(groups=[
            OffsetFetchRequestGroup("g", topics=[OffsetFetchRequestTopics("t", topic.id, [0]),
                                                 OffsetFetchRequestTopics("u", b"u" * 16, [0])]),
            OffsetFetchRequestGroup("g", topics=None), OffsetFetchRequestGroup("h", topics=None)])
        response = await peer.ask(request, version, OffsetFetchResponse)
        assert [group.group_id for group in response.groups] == ["g", "g", "h"]
        named, everything, nothing = response.groups
        assert [(each.committed_offset, each.error_code) for topic in named.topics for each in topic.partitions] == [
            (40, 0), (-1, ErrorCode.UNKNOWN_TOPIC_ID if version >= 10 else 0)]
        assert [each.committed_offset for each in everything.topics[0].partitions] == [40, 41]
        assert everything.topics[0].topic_id == (topic.id if version >= 10 else bytes(16))
        assert nothing.topics == []

    play(scenario)


def test_a_topic_that_is_made_anew_has_no_offsets(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("t", 2)
        await commit(peer, 8, "t")
        await peer.ask(DeleteTopicsRequest(topic_names=["t"]), 1, DeleteTopicsResponse)
        assert not peer.groups.offsets("g")

    play(scenario)
