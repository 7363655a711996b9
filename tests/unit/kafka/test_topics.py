"""CreateTopics, DeleteTopics, DescribeConfigs, InitProducerId."""
from collections.abc import Callable
from typing import Any

import pytest

from robustmq._fastpath.protocols.kafka.configs import BROKER_CONFIGS, TOPIC_CONFIGS, Source
from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.messages import (
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DescribeConfigsRequest,
    DescribeConfigsResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
)
from robustmq._fastpath.protocols.kafka.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
)
from robustmq._fastpath.protocols.kafka.messages.delete_topics import DeleteTopicState
from robustmq._fastpath.protocols.kafka.messages.describe_configs import DescribeConfigsResource

from .fakes import Peer

Play = Callable[..., None]


def topic(name: str = "t", partitions: int = -1, factor: int = -1, assignment: list[list[int]] | None = None,
          **configs: str | None) -> CreatableTopic:
    return CreatableTopic(
        name, partitions, factor,
        [CreatableReplicaAssignment(number, brokers) for number, brokers in enumerate(assignment or [])],
        [CreatableTopicConfig(key.replace("_", "."), value) for key, value in configs.items()])


@pytest.mark.parametrize("version", range(2, 8))
def test_create(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        request = CreateTopicsRequest([topic(partitions=3, factor=1, cleanup_policy="compact")])
        response = await peer.ask(request, version, CreateTopicsResponse)
        result, made = response.topics[0], peer.topics.by_name["t"]
        assert (result.name, result.error_code) == ("t", 0)
        assert made.partitions == 3
        assert made.set_configs == {"cleanup.policy": "compact"}
        if version >= 5:
            assert (result.num_partitions, result.replication_factor) == (3, 1)
            values = {each.name: (each.value, each.config_source) for each in result.configs}
            assert values["cleanup.policy"] == ("compact", Source.TOPIC)
            assert values["retention.ms"] == ("604800000", Source.DEFAULT)
        if version >= 7:
            assert result.topic_id == made.id

    play(scenario)


@pytest.mark.parametrize(("wanted", "error"), [
    (topic("a/b"), ErrorCode.INVALID_TOPIC_EXCEPTION),
    (topic("old"), ErrorCode.TOPIC_ALREADY_EXISTS),
    (topic(partitions=0), ErrorCode.INVALID_PARTITIONS),
    (topic(partitions=101), ErrorCode.INVALID_PARTITIONS),
    (topic(factor=2), ErrorCode.INVALID_REPLICATION_FACTOR),
    (topic(factor=0), ErrorCode.INVALID_REPLICATION_FACTOR),
    (topic(assignment=[[9]]), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
    (topic(partitions=1, assignment=[[3]]), ErrorCode.INVALID_REQUEST),
    (topic(no_such_config="1"), ErrorCode.INVALID_CONFIG),
    (topic(retention_ms="soon"), ErrorCode.INVALID_CONFIG),
    (topic(retention_ms=None), ErrorCode.INVALID_CONFIG),
    (topic(retention_ms="-2"), ErrorCode.INVALID_CONFIG),
    (topic(cleanup_policy="burn"), ErrorCode.INVALID_CONFIG),
    (topic(preallocate="maybe"), ErrorCode.INVALID_CONFIG),
])
def test_create_refuses(play: Play, wanted: CreatableTopic, error: ErrorCode) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("old")
        response = await peer.ask(CreateTopicsRequest([wanted, topic("good")]), 7, CreateTopicsResponse)
        assert [each.error_code for each in response.topics] == [error, 0]
        assert response.topics[0].error_message
        assert set(peer.topics.by_name) == {"old", "good"}

    play(scenario, max_partitions=100)


def test_create_details(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        ask = lambda *topics, **more: peer.ask(CreateTopicsRequest([*topics], **more), 7, CreateTopicsResponse)  # noqa: E731
        response = await ask(topic("x"), topic("x"))
        assert [each.error_code for each in response.topics] == [ErrorCode.INVALID_REQUEST]
        response = await ask(topic("x"), validate_only=True)
        assert (response.topics[0].error_code, response.topics[0].num_partitions) == (0, 4)
        assert not peer.topics.by_name
        response = await ask(topic("assigned", assignment=[[3], [3]]), topic("default"))
        assert [each.num_partitions for each in response.topics] == [2, 4]

    play(scenario, num_partitions=4)


@pytest.mark.parametrize("version", range(1, 7))
def test_delete(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("t")
        request = DeleteTopicsRequest([DeleteTopicState("t"), DeleteTopicState("u")], ["t", "u"])
        response = await peer.ask(request, version, DeleteTopicsResponse)
        assert [(each.name, each.error_code) for each in response.responses] == [
            ("t", 0), ("u", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)]
        assert not peer.topics.by_name

    play(scenario)


def test_delete_by_id_and_what_cannot_be(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        first, second, inner = peer.topics.add("a"), peer.topics.add("b"), peer.topics.add("inner")
        inner.internal = True
        request = DeleteTopicsRequest([
            DeleteTopicState(None, first.id), DeleteTopicState("b", second.id), DeleteTopicState(None, b"x" * 16),
            DeleteTopicState("inner"), DeleteTopicState(None), DeleteTopicState("b"), DeleteTopicState("b")])
        response = await peer.ask(request, 6, DeleteTopicsResponse)
        assert [(each.name, each.error_code) for each in response.responses] == [
            ("a", 0), ("b", ErrorCode.INVALID_REQUEST), (None, ErrorCode.UNKNOWN_TOPIC_ID),
            ("inner", ErrorCode.INVALID_TOPIC_EXCEPTION), (None, ErrorCode.INVALID_REQUEST),
            ("b", ErrorCode.INVALID_REQUEST)]
        assert set(peer.topics.by_name) == {"b", "inner"}

    play(scenario)


async def describe(peer: Peer, version: int, kind: int, name: str, keys: list[str] | None = None, **more: Any) -> Any:
    request = DescribeConfigsRequest([DescribeConfigsResource(kind, name, keys)], **more)
    return (await peer.ask(request, version, DescribeConfigsResponse)).results[0]


@pytest.mark.parametrize("version", range(1, 5))
def test_all_configurations_with_defaults_and_sources(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("t", 1, {"cleanup.policy": "compact"})
        result = await describe(peer, version, 2, "t", include_synonyms=True, include_documentation=True)
        assert result.error_code == 0
        values = {each.name: each for each in result.configs}
        assert set(values) == set(TOPIC_CONFIGS)
        assert (values["cleanup.policy"].value, values["cleanup.policy"].config_source) == ("compact", Source.TOPIC)
        assert [(each.name, each.value, each.source) for each in values["cleanup.policy"].synonyms] == [
            ("cleanup.policy", "compact", Source.TOPIC), ("log.cleanup.policy", "delete", Source.DEFAULT)]
        assert values["max.message.bytes"].value == "500"
        assert values["max.message.bytes"].config_source == Source.STATIC_BROKER
        assert values["retention.ms"].config_source == Source.DEFAULT
        assert version < 3 or values["retention.ms"].documentation
        assert version < 3 or values["retention.ms"].config_type == 5

    play(scenario, message_max_bytes=500)


def test_some_configurations_without_extras(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        peer.topics.add("t")
        result = await describe(peer, 4, 2, "t", ["retention.ms", "nonsense"])
        assert [(each.name, each.synonyms, each.documentation) for each in result.configs] == [
            ("retention.ms", [], None)]

    play(scenario)


def test_the_broker_s_own(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        result = await describe(peer, 4, 4, "3")
        assert {each.name for each in result.configs} == set(BROKER_CONFIGS)
        values = {each.name: each.value for each in result.configs}
        assert (values["node.id"], values["num.partitions"]) == ("3", "7")
        assert values["offsets.retention.minutes"] == "1"

    play(scenario, num_partitions=7, settings={"offsets.retention.minutes": "1"})


@pytest.mark.parametrize(("kind", "name", "error"), [
    (2, "nowhere", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION), (2, "a/b", ErrorCode.INVALID_TOPIC_EXCEPTION),
    (4, "9", ErrorCode.INVALID_REQUEST), (8, "3", ErrorCode.INVALID_REQUEST)])
def test_what_cannot_be_described(play: Play, kind: int, name: str, error: ErrorCode) -> None:
    async def scenario(peer: Peer) -> None:
        result = await describe(peer, 4, kind, name)
        assert result.error_code == error
        assert result.error_message
        assert result.configs == []

    play(scenario)


def test_every_default_is_allowed() -> None:
    for config in [*TOPIC_CONFIGS.values(), *BROKER_CONFIGS.values()]:
        assert config.wrong(config.default) is None, config.name


@pytest.mark.parametrize("version", range(6))
def test_producer_ids(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        for expected in (1000, 1001):
            response = await peer.ask(InitProducerIdRequest(None), version, InitProducerIdResponse)
            assert (response.error_code, response.producer_id, response.producer_epoch) == (0, expected, 0)
        response = await peer.ask(InitProducerIdRequest("txn"), version, InitProducerIdResponse)
        assert response.error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        assert (response.producer_id, response.producer_epoch) == (-1, -1)
        response = await peer.ask(InitProducerIdRequest(""), version, InitProducerIdResponse)
        assert response.error_code == ErrorCode.INVALID_REQUEST

    play(scenario)


def test_half_a_producer_is_refused(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        response = await peer.ask(InitProducerIdRequest(None, 0, 5, -1), 3, InitProducerIdResponse)
        assert response.error_code == ErrorCode.INVALID_REQUEST
        response = await peer.ask(InitProducerIdRequest(None, 0, 5, 1), 3, InitProducerIdResponse)
        assert (response.error_code, response.producer_id) == (0, 1000)

    play(scenario)
