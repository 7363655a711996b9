"""Metadata and FindCoordinator."""
from collections.abc import Callable

import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.messages import (
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    MetadataRequest,
    MetadataResponse,
)
from robustmq._fastpath.protocols.kafka.messages.metadata import MetadataRequestTopic

from .fakes import Peer

Play = Callable[..., None]
NAMES = ["a", "b.c"]


def named(*names: str) -> list[MetadataRequestTopic]:
    return [MetadataRequestTopic(name=name) for name in names]


@pytest.mark.parametrize(("version", "topics", "all_of_them"), [
    (0, [], True), (1, [], False), (12, [], False), (1, None, True), (13, None, True)])
def test_all_or_none(play: Play, version: int, topics: list[MetadataRequestTopic] | None, all_of_them: bool) -> None:
    async def scenario(peer: Peer) -> None:
        for name in NAMES:
            peer.topics.add(name)
        response = await peer.ask(MetadataRequest(topics), version, MetadataResponse)
        assert [topic.name for topic in response.topics] == (NAMES if all_of_them else [])

    play(scenario)


@pytest.mark.parametrize("version", range(14))
def test_this_broker_leads_everything(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("a", 3)
        response = await peer.ask(MetadataRequest(named("a")), version, MetadataResponse)
        assert [(each.node_id, each.host, each.port) for each in response.brokers] == [(3, "127.0.0.1", 9092)]
        assert response.controller_id == (3 if version >= 1 else -1)
        assert response.cluster_id == ("cluster" if version >= 2 else None)
        assert response.topics[0].topic_authorized_operations == -(2**31)
        assert response.cluster_authorized_operations == -(2**31)
        assert [each.partition_index for each in response.topics[0].partitions] == [0, 1, 2]
        for each in response.topics[0].partitions:
            assert (each.leader_id, each.replica_nodes, each.isr_nodes, each.offline_replicas) == (3, [3], [3], [])
            assert each.leader_epoch == (0 if version >= 7 else -1)

    play(scenario)


def test_operations_when_asked(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("a")
        request = MetadataRequest(named("a", "nowhere"), False, True, True)
        response = await peer.ask(request, 10, MetadataResponse)
        assert response.topics[0].topic_authorized_operations == 0b110111111000
        assert response.topics[1].topic_authorized_operations == -(2**31)
        assert response.cluster_authorized_operations > 0

    play(scenario)


@pytest.mark.parametrize(("version", "asked", "allowed", "made"), [
    (4, True, True, True), (4, False, True, False), (4, True, False, False), (3, False, True, True)])
def test_auto_creation_needs_both_to_want_it(play: Play, version: int, asked: bool, allowed: bool, made: bool) -> None:
    async def scenario(peer: Peer) -> None:
        response = await peer.ask(MetadataRequest(named("new"), asked), version, MetadataResponse)
        topic = response.topics[0]
        assert topic.error_code == (0 if made else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        assert len(topic.partitions) == (4 if made else 0)
        assert not made or not peer.topics.by_name["new"].explicit

    play(scenario, auto_create_topics=allowed, num_partitions=4)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "ä", "x" * 250, "a b", "a\n"])
def test_names_that_cannot_be(play: Play, name: str) -> None:
    async def scenario(peer: Peer) -> None:
        response = await peer.ask(MetadataRequest(named(name)), 9, MetadataResponse)
        assert response.topics[0].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
        assert response.topics[0].name == name
        assert not peer.topics.by_name

    play(scenario)


def test_by_id(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        topic = peer.topics.add("a")
        asked = [MetadataRequestTopic(topic.id, None), MetadataRequestTopic(b"\x01" * 16, None)]
        response = await peer.ask(MetadataRequest(asked), 12, MetadataResponse)
        assert [(each.name, each.topic_id, each.error_code) for each in response.topics] == [
            ("a", topic.id, 0), (None, b"\x01" * 16, ErrorCode.UNKNOWN_TOPIC_ID)]

    play(scenario)


def test_a_topic_that_is_named_twice_is_described_once(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        response = await peer.ask(MetadataRequest(named("new", "new")), 9, MetadataResponse)
        assert [topic.error_code for topic in response.topics] == [0]

    play(scenario)


@pytest.mark.parametrize("version", range(7))
def test_groups_are_coordinated_here(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        request = FindCoordinatorRequest("g", 0, ["g", "h"] if version >= 4 else [])
        response = await peer.ask(request, version, FindCoordinatorResponse)
        found = response.coordinators if version >= 4 else [response]
        assert [(each.node_id, each.host, each.port, each.error_code) for each in found] == [
            (3, "127.0.0.1", 9092, 0)] * (2 if version >= 4 else 1)
        if version >= 4:
            assert [each.key for each in found] == ["g", "h"]

    play(scenario)


@pytest.mark.parametrize(("kind", "error"), [
    (1, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED), (2, ErrorCode.INVALID_REQUEST)])
def test_nothing_else_is(play: Play, kind: int, error: ErrorCode) -> None:
    async def scenario(peer: Peer) -> None:
        response = await peer.ask(FindCoordinatorRequest("", kind, ["t"]), 6, FindCoordinatorResponse)
        assert response.coordinators[0].error_code == error
        assert response.coordinators[0].error_message
        response = await peer.ask(FindCoordinatorRequest("t", kind), 3, FindCoordinatorResponse)
        assert response.error_code == error

    play(scenario)
